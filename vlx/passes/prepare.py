"""Hold a model as an explanation needs it, for a while, and put everything back."""

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils import checkpoint

from vlx.passes.lstm import fast_forward
from vlx.passes.modules import Modules, modules_of
from vlx.passes.turns import in_turn

_COMPILED = "_compiled_call_impl"  # what nn.Module.compile() sets
_PACKS = "support_avx512bf16_for_cpu"  # of bitsandbytes' 4-bit layers, on processors with bfloat16 products


@in_turn
@contextmanager
def prepared(*models: nn.Module, frozen: bool = True) -> Generator[None, None, None]:
    """Hold models in evaluation mode, frozen, with gradients on and plain RNN kernels; then undo it.

    Parameters keep recording gradients where not ``frozen``, for maps that are differentiated themselves.
    Modules that were compiled run as they were written, since compiled code passes hooks by, and parts in
    DataParallel run on one device.
    Fused RNN kernels have no batching rule (CPU) or refuse to run backward in evaluation mode
    (cuDNN), so they are switched off while an RNN module records gradients and nowhere else. Layers of 4
    bits keep their weights as they lie: bitsandbytes would pack them for products that record no gradients.
    Checkpointed parts keep what they compute: when they compute it again, the block may have ended. Where a
    model runs parts again by a function of its own, call backward within the block.

    One thread holds models at a time, whatever the models: another that prepares, captures, explains or
    evaluates waits until the block ends, and so does one that is given the block half-way (a generator that
    threads take turns with). A thread may hold several, one within the other. Threads that run or train the
    model without vlx are not held up: keep them from a model that is held. Raises VlxError where the
    thread that holds models has ended without leaving its block.

    >>> net = torch.nn.Dropout()
    >>> with vlx.prepared(net):
    ...     net.training
    False
    >>> net.training
    True
    """
    each = [modules_of(model) for model in models]
    modules = [module for one in each for module in one.listed]
    modes = [module.training for module in modules]
    learning = [
        (module, name)
        for module in (modules if frozen else ())
        # By its public name it takes five times as long.
        for name, parameter in module._parameters.items()  # pyright: ignore[reportPrivateUsage]
        if parameter is not None and parameter.requires_grad
    ]
    with ExitStack() as stack:
        stack.callback(_run_once.put_back)
        _run_once.change()
        stack.callback(_restore, modules, modes, learning)
        for module in modules:
            if module.training:  # to set it takes far longer than to see it
                module.training = False
            if getattr(module, _COMPILED, None) is not None:
                _uncompiled(module, stack)
            if vars(module).get(_PACKS, False):
                stack.callback(setattr, module, _PACKS, True)
                setattr(module, _PACKS, False)
        for module in (module for one in each for module in one.of_kind(nn.DataParallel)):
            if module.device_ids:
                stack.callback(setattr, module, "device_ids", module.device_ids)
                setattr(module, "device_ids", [])  # noqa: B010 - torch's types know no such attribute
        for module in _recurrent(each):
            _for_many_targets(module, stack)
        if any(one.those(_wrapped, partial(_wrapped, one)) for one in each):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for module, name in learning:
            _parameter(module, name).requires_grad_(False)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


def _recurrent(each: list[Modules]) -> list[Any]:
    return [module for one in each for module in one.of_kind(nn.RNNBase)]


def _wrapped(modules: Modules) -> list[nn.Module]:
    """Those that torch.compile wrapped."""
    return [one for one in modules.listed if "_orig_mod" in vars(one).get("_modules", {})]


def _parameter(module: nn.Module, name: str) -> Any:
    own: Any = module._parameters  # pyright: ignore[reportPrivateUsage]
    return own[name] if isinstance(own, dict) else getattr(module, name)  # of TorchScript too


def _uncompiled(module: nn.Module, stack: ExitStack) -> None:
    """Let a module that was compiled in place run as it was written: compiled code passes hooks by."""
    stack.callback(setattr, module, _COMPILED, getattr(module, _COMPILED))
    setattr(module, _COMPILED, None)


def _for_many_targets(module: nn.RNNBase, stack: ExitStack) -> None:
    """Let a recurrent layer run so that many targets can go back through it at once."""
    _plain_kernel(module, stack)
    if type(module) is nn.LSTM and "forward" not in vars(module):
        stack.callback(delattr, module, "forward")
        module.forward = fast_forward(module, module.forward)


def _plain_kernel(module: nn.Module, stack: ExitStack) -> None:
    plain: list[bool] = []  # whether each of its runs that have not ended needs plain kernels

    def before(_module: nn.Module, _inputs: Any) -> None:
        plain.append(torch.is_grad_enabled())
        if plain[-1]:
            _plain_kernels.change()

    def after(*_: Any) -> None:
        with suppress(IndexError):
            if plain.pop():
                _plain_kernels.put_back()

    def after_all() -> None:
        while plain:  # a thread that runs the model without vlx may still be in it
            after()

    stack.callback(after_all)
    stack.callback(module.register_forward_pre_hook(before, prepend=True).remove)
    stack.callback(module.register_forward_hook(after, always_call=True).remove)


class _Shared:
    """Attributes that the whole process shares: changed while anything needs it, then as they were before."""

    def __init__(self, *changes: tuple[Any, str, Any]) -> None:
        self._changes = [change for change in changes if hasattr(change[0], change[1])]
        self._before: list[Any] = []
        self._needed = 0
        self._lock = threading.Lock()

    def change(self) -> None:
        with self._lock:
            if self._needed == 0:
                self._before = [getattr(owner, name) for owner, name, _ in self._changes]
                self._set([value for _, _, value in self._changes])
            self._needed += 1

    def put_back(self) -> None:
        with self._lock:
            self._needed -= 1
            if self._needed == 0:
                self._set(self._before)

    def _set(self, values: list[Any]) -> None:
        for (owner, name, _), value in zip(self._changes, values, strict=True):
            setattr(owner, name, value)


class _Once:
    """Stands in for `torch.utils.checkpoint.CheckpointFunction`: runs the part, recorded as any other."""

    @staticmethod
    def apply(run: Callable[..., Any], _preserve: bool, *inputs: Any) -> Any:
        return run(*inputs)


_plain_kernels = _Shared((torch.backends.mkldnn, "enabled", False), (torch.backends.cudnn, "enabled", False))
_run_once = _Shared((checkpoint, "_checkpoint_hook", nullcontext), (checkpoint, "CheckpointFunction", _Once))


def _restore(modules: list[nn.Module], modes: list[bool], learning: list[tuple[nn.Module, str]]) -> None:
    for module, mode in zip(modules, modes, strict=True):
        if module.training != mode:
            module.training = mode
    for module, name in learning:  # by name: weights that are fetched for a run come back as other objects
        _parameter(module, name).requires_grad_(True)
