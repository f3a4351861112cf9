"""How two schemas differ, a line for each difference: for a person who reviews one."""

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2

MOST_VALUES = 10
"""Of a domain's values that are new or gone, those that a line names."""


def differences(before: schema_pb2.Schema, now: schema_pb2.Schema) -> list[str]:
    """What changed from one schema to the other; order does not count. [] if nothing.

    Example lines: "feature `age`: presence.min_fraction: 1 -> 0.9", "feature `weight` is new
    (FLOAT)", "domain `island`: 'Anvers' is new".
    """
    lines = list(_of_named("feature", before.feature, now.feature, _of_feature))
    for kind in ("string_domain", "float_domain", "int_domain"):
        lines += _of_named("domain", getattr(before, kind), getattr(now, kind), _of_domain)
    rest = [schema_pb2.Schema(), schema_pb2.Schema()]
    for copy, schema in zip(rest, (before, now), strict=True):
        copy.CopyFrom(schema)
        for kind in ("feature", "string_domain", "float_domain", "int_domain"):
            copy.ClearField(kind)
    return lines + [f"schema: {line}" for line in _of_values(*map(_flat, rest))]


def _of_named(what, before, now, compare) -> Iterator[str]:
    before, now = ({entry.name: entry for entry in side} for side in (before, now))
    for name in sorted(before.keys() | now.keys()):
        if name not in before:
            yield f"{what} `{name}` is new{_called(now[name])}"
        elif name not in now:
            yield f"{what} `{name}` is gone{_called(before[name])}"
        else:
            for line in compare(before[name], now[name]):
                yield f"{what} `{name}`: {line}"


def _called(entry):
    if isinstance(entry, schema_pb2.Feature):
        return f" ({schema_pb2.FeatureType.Name(entry.type)})"
    if isinstance(entry, schema_pb2.StringDomain):
        return f" ({len(entry.value)} values)"
    return ""


def _of_feature(before, now):
    before, now = _flat(before), _flat(now)
    values = "string_domain.value"
    yield from _of_lists(before.pop(values, ()), now.pop(values, ()))
    yield from _of_values(before, now)


def _of_domain(before, now):
    if isinstance(before, schema_pb2.StringDomain):
        yield from _of_lists(before.value, now.value)
    else:
        yield from _of_values(_flat(before), _flat(now))


def _of_lists(before, now):
    for word, values in (("new", set(now) - set(before)), ("gone", set(before) - set(now))):
        if values:
            shown = ", ".join(map(repr, sorted(values)[:MOST_VALUES]))
            more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
            yield f"{shown}{more} {'is' if len(values) == 1 else 'are'} {word}"


def _of_values(before, now):
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name}: {_short(before.get(name))} -> {_short(now.get(name))}"


def _short(value):
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flat(message, prefix="") -> dict:
    """Set fields as a flat dictionary: dotted name -> value, enums by name, lists as tuples."""
    flat = {}
    for descriptor, value in message.ListFields():
        name = prefix + descriptor.name
        if descriptor.message_type is not None and not isinstance(value, str):
            entries = list(value) if _is_list(value) else [value]
            for index, entry in enumerate(entries):
                place = f"{name}[{index}]" if _is_list(value) else name
                flat |= _flat(entry, f"{place}.") or {place: "set"}
        elif _is_list(value):
            flat[name] = tuple(value)
        elif descriptor.enum_type is not None:
            flat[name] = descriptor.enum_type.values_by_number[value].name
        else:
            flat[name] = value
    return flat


def _is_list(value):
    return hasattr(value, "append") or hasattr(value, "extend")
