"""What the paper reports, to be set beside what is measured (Selvaraju et al., IJCV 2019)."""

from dataclasses import dataclass

from vlx.eval.items.models import ModelType


@dataclass(frozen=True)
class PaperValue:
    """One number of the paper, with its conditions."""

    task: str
    model_types: tuple[ModelType, ...]
    method: str
    value: float
    error: float | None
    """As the paper prints it after ±; it does not say what it is."""
    conditions: str


_BOXES = "section 8.1: neuraltalk2 with VGG-16, five DenseCap captions an image, real photos; n not stated"
_VQA = "section 8.2: the VQA model of Lu et al.; n, window, stride and resolution not stated"
_CNN = "section 5.3: VGG-16 finetuned on VOC07, 2,510 images; window, stride and resolution not stated"

_TABLE_3 = (
    "Table 3: top-1 localisation error of VGG-16 on ILSVRC-15 val; one crop or ten: its versions say both"
)

PAPER = (
    PaperValue("boxes", ("captioner",), "grad_cam", 3.27, 0.18, _BOXES),
    PaperValue("boxes", ("captioner",), "guided_backprop", 2.32, 0.08, _BOXES),
    PaperValue("boxes", ("captioner",), "guided_grad_cam", 6.38, 0.99, _BOXES),
    PaperValue(
        "pointing", ("captioner",), "grad_cam", 0.300, None,
        "section 8.1.1: Show and Tell, 1,000 random COCO images, 830 words; tolerance not stated",
    ),
    PaperValue(
        "attention", ("vqa",), "grad_cam", 0.136, None,
        "section 8.2: the VQA model of Lu et al., 1,374 questions of VQA-HAT val; how annotators are "
        "joined is not stated",
    ),
    PaperValue(
        "localisation", ("classifier",), "grad_cam", 0.5651, None,
        "section 4.1, Table 1: top-1 error of VGG-16 on ILSVRC-15 val (top 5: .4641); crop, connectivity and "
        "blacklist not stated",
    ),
    PaperValue(
        "localisation", ("classifier",), "class_activation_map", 0.5720, None,
        "section 4.1, Table 1: top-1 error of VGG-16 with average pooling on ILSVRC-15 val (top 5: .4514)",
    ),
    PaperValue(
        "localisation", ("classifier",), "c_mwp", 0.7092, None,
        "section 4.1, Table 1: top-1 error of VGG-16 on ILSVRC-15 val (top 5: .6304); segmented",
    ),
    PaperValue(
        "localisation", ("classifier",), "gradient", 0.6112, None,
        "section 4.1, Table 1: top-1 error of VGG-16 on ILSVRC-15 val (top 5: .5146); segmented",
    ),
    PaperValue(
        "classes-reject", ("classifier",), "grad_cam", 0.7058, None,
        "section 4.3, appendix D: a threshold on the maximum, chosen on data not stated; GoogLeNet finetuned "
        "on COCO, or VGG-16: the paper says both",
    ),
    PaperValue(
        "classes-reject", ("classifier",), "c_mwp", 0.6030, None,
        "section 4.3, appendix D: a threshold on the maximum, chosen on data not stated; GoogLeNet finetuned "
        "on COCO, or VGG-16: the paper says both",
    ),
    PaperValue("occlusion", ("vqa",), "grad_cam", 0.60, 0.038, _VQA),
    PaperValue("occlusion", ("vqa",), "guided_backprop", 0.42, 0.038, _VQA),
    *(
        PaperValue(task, ("classifier",), method, value, None, _CNN)
        for task in ("occlusion", "classes-occlusion")
        for method, value in (
            ("grad_cam", 0.254), ("guided_grad_cam", 0.261), ("guided_backprop", 0.168), ("c_mwp", 0.220),
            ("class_activation_map", 0.208),
        )
    ),
    *(
        PaperValue("ablations", ("classifier",), method, value, None, _TABLE_3)
        for method, value in (
            ("grad_cam", 0.5965), ("grad_cam_no_relu", 0.7498), ("grad_cam_no_relu_stretched", 0.7498),
            ("grad_cam_no_relu_magnitude", 0.7498), ("grad_cam_absolute", 0.5819),
            ("grad_cam_max_pool", 0.5996), ("grad_cam_deconvolution", 0.8395), ("grad_cam_guided", 0.5914),
        )
    ),
)  # fmt: skip


def paper_value(task: str, model_type: str, method: str) -> PaperValue | None:
    """The paper's number for an evaluation, a type of model and a method, if it reports one."""
    return next(
        (one for one in PAPER if one.task == task and model_type in one.model_types and one.method == method),
        None,
    )
