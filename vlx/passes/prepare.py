"""Hold a model as an explanation needs it, for a while, and put everything back."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

_COMPILED = "_compiled_call_impl"  # what nn.Module.compile() sets
_PACKS = "support_avx512bf16_for_cpu"  # of bitsandbytes' 4-bit layers, on processors with bfloat16 products


@contextmanager
def prepared(*models: nn.Module) -> Generator[None, None, None]:
    """Hold models in evaluation mode, frozen, with gradients on and plain RNN kernels; then undo it.

    Modules that were compiled in place run as they were written, since compiled code passes hooks by.
    Fused RNN kernels have no batching rule (CPU) or refuse to run backward in evaluation mode
    (cuDNN), so they are switched off while an RNN module records gradients and nowhere else. Layers of 4
    bits keep their weights as they lie: bitsandbytes would pack them for products that record no gradients.

    >>> net = torch.nn.Dropout()
    >>> with vlx.prepared(net):
    ...     net.training
    False
    >>> net.training
    True
    """
    modules = [module for model in models for module in model.modules()]
    modes = [module.training for module in modules]
    learning = [
        (module, name)
        for module in modules
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.requires_grad
    ]
    with ExitStack() as stack:
        stack.callback(_restore, modules, modes, learning)
        for module in modules:
            module.training = False
            if getattr(module, _COMPILED, None) is not None:
                _uncompiled(module, stack)
            if getattr(module, _PACKS, False):
                stack.callback(setattr, module, _PACKS, True)
                setattr(module, _PACKS, False)
            if isinstance(module, nn.RNNBase):
                _plain_kernel(module, stack)
        for module, name in learning:
            module.get_parameter(name).requires_grad_(False)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


def _uncompiled(module: nn.Module, stack: ExitStack) -> None:
    """Let a module that was compiled in place run as it was written: compiled code passes hooks by."""
    stack.callback(setattr, module, _COMPILED, getattr(module, _COMPILED))
    setattr(module, _COMPILED, None)


def _plain_kernel(module: nn.Module, stack: ExitStack) -> None:
    before_run: list[tuple[bool, bool]] = []

    def before(_module: nn.Module, _inputs: Any) -> None:
        before_run.append((bool(torch.backends.mkldnn.enabled), bool(torch.backends.cudnn.enabled)))
        if torch.is_grad_enabled():
            _fused_kernels(False, False)

    def after(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        if before_run:
            _fused_kernels(*before_run.pop())

    stack.callback(module.register_forward_pre_hook(before, prepend=True).remove)
    stack.callback(module.register_forward_hook(after, always_call=True).remove)


def _fused_kernels(mkldnn: bool, cudnn: bool) -> None:
    torch.backends.mkldnn.enabled = mkldnn
    torch.backends.cudnn.enabled = cudnn


def _restore(modules: list[nn.Module], modes: list[bool], learning: list[tuple[nn.Module, str]]) -> None:
    for module, mode in zip(modules, modes, strict=True):
        module.training = mode
    for module, name in learning:  # by name: weights that are fetched for a run come back as other objects
        module.get_parameter(name).requires_grad_(True)
