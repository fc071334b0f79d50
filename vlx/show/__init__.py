"""Pictures and pages of explanations; importing it lets explanations draw themselves."""

from vlx.explanation import Drawing, draw_with
from vlx.show.figures import figure, show

draw_with(Drawing(figure, show))
