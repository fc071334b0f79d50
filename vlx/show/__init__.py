"""Pictures and pages of explanations; importing it lets explanations draw themselves."""

from vlx.explanation import Drawing, draw_with
from vlx.show.files import heatmap_of, overlay_of, png, save, show

draw_with(Drawing(png, overlay_of, heatmap_of, save, show))
