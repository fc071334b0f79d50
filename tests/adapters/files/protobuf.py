"""Messages of the protobuf library itself, described here, to compare with."""

from collections.abc import Callable, Mapping
from typing import Any


def message(name: str, /, **fields: Any) -> Callable[..., Any]:
    """The class of a message whose fields are told as ``number type``; ``*`` repeats, ``#`` packs as well.

    A keyword that begins with an underscore describes a message that others use as a type.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=f"of_{name}", syntax="proto2")
    described: dict[str, Mapping[str, str]] = {
        name: {key: told for key, told in fields.items() if not key.startswith("_")},
        **{key[1:]: told for key, told in fields.items() if key.startswith("_")},
    }
    for each, told in described.items():
        made = file.message_type.add(name=each)
        for key, form in told.items():
            number, kind = form.rstrip("*#").split()
            field = made.field.add(name=key, number=int(number))
            field.label = field.LABEL_REPEATED if form[-1] in "*#" else field.LABEL_OPTIONAL
            field.options.packed = form.endswith("#")
            if kind in described:
                field.type, field.type_name = field.TYPE_MESSAGE, f".of_{name}.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"of_{name}.{name}"))
