"""Every family of models that `vlx.load` opens by name, one row each; nothing of them is loaded here.

A family of your own is a row, its file in ``families/``, and a case of ``tests/adapters/conformance.py``.
"""

from functools import partial

from vlx.adapters.families import (
    caffe,
    hiecoatten,
    im2txt,
    neuraltalk2,
    own,
    ruotianluo,
    sgrvinod,
    students,
    torchvision,
    vqa_lstm_cnn,
)
from vlx.adapters.huggingface import load_huggingface
from vlx.adapters.parts.family import Family, from_folder

FAMILIES = (
    Family(
        {
            "torchvision/NAME": "any torchvision classifier by its name, with its published ImageNet weights",
            "torchvision/NAME:FILE": "the same network with your own weights "
            "(.safetensors, or a .pth state_dict), also as a training saved them",
        },
        open=torchvision.open_torchvision,
        detect=torchvision.detect,
    ),
    Family(
        {"neuraltalk2:FILE": "neuraltalk2's checkpoint, model_id….t7"},
        open=neuraltalk2.load_neuraltalk2,
        files=neuraltalk2.FILES,
        detect=neuraltalk2.detect,
    ),
    Family(
        {"vqa-lstm-cnn:FOLDER": "deeper LSTM Q + norm I: lstm….t7, data_prepro.json and a VGG-19"},
        open=from_folder(vqa_lstm_cnn.load_vqa_lstm_cnn, vqa_lstm_cnn.FILES),
        files=vqa_lstm_cnn.FILES,
        detect=vqa_lstm_cnn.detect,
    ),
    Family(
        {
            "hiecoatten:FOLDER": "hierarchical co-attention: model….t7, vqa_data_prepro.json "
            "and a VGG-19 or ResNet"
        },
        open=from_folder(hiecoatten.load_hiecoatten, hiecoatten.FILES),
        files=hiecoatten.FILES,
        detect=hiecoatten.detect,
    ),
    Family(
        {"im2txt:PREFIX": "Show and Tell: a TensorFlow checkpoint, word_counts.txt beside it"},
        open=im2txt.open_im2txt,
        files=im2txt.FILES,
        detect=im2txt.detect,
    ),
    Family(
        {"ruotianluo:FOLDER": "ImageCaptioning.pytorch: model.pth, infos….pkl and resnet….pth"},
        open=from_folder(ruotianluo.load_ruotianluo, ruotianluo.FILES),
        files=ruotianluo.FILES,
        detect=ruotianluo.detect,
    ),
    Family(
        {"sgrvinod:FOLDER": "a tutorial's attention captioner: BEST_checkpoint….pth.tar and WORDMAP….json"},
        open=from_folder(sgrvinod.load_sgrvinod, sgrvinod.FILES),
        files=sgrvinod.FILES,
        detect=sgrvinod.detect,
    ),
    Family(
        {"udacity:FOLDER": "a captioner of the Udacity course: encoder, decoder and vocab.pkl"},
        open=partial(students.open_student, students.UDACITY),
        files=students.FILES,
        detect=students.detect,
    ),
    Family(
        {"yunjey:FOLDER": "a captioner of yunjey's tutorial: encoder, decoder and vocab.pkl"},
        open=partial(students.open_student, students.YUNJEY),
        files=students.FILES,
        detect=students.detect,
    ),
    Family(
        {"caffe:FILE": "a classifier's .caffemodel: VGG, AlexNet, CaffeNet, GoogLeNet, SqueezeNet"},
        open=caffe.load_caffe,
        files=caffe.FILES,
        detect=caffe.detect,
    ),
    Family(
        {
            "hf:NAME": "a model of Hugging Face's transformers from the hub, "
            "such as hf:Salesforce/blip-vqa-base",
            "hf:FOLDER": "the same from a local folder; weights are read from safetensors only",
        },
        open=load_huggingface,
        spreads=True,
    ),
    Family(
        {"python:MODULE:FUNCTION": "a model of your own: what FUNCTION() of MODULE returns, which is run"},
        open=own.load_own,
        spreads=True,
    ),
)
