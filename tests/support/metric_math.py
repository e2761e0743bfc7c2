"""What an alarm's expression comes to: as much of CloudWatch's metric math as the stack's alarms use.

Names, numbers, arithmetic, comparisons, AND, FILL and IF. A metric without data in a period is None, and so is what is
made of it
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html).
"""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
}


def breaches(alarm: Mapping[str, Any], **measured: float | None) -> bool:
    """Whether a period with these values counts against an alarm; a metric that is not given has no data.

    Raises:
        KeyError: a value is given for a metric that the alarm does not know.
    """
    queries = {query["id"]: query for query in alarm["metricQueries"]}
    if unknown := set(measured) - set(queries):
        raise KeyError(f"{alarm['name']} knows no metric {', '.join(sorted(unknown))}")
    [judged] = [query for query in queries.values() if query["returnData"]]
    data = {name: measured.get(name) for name, query in queries.items() if "metric" in query}
    value = _evaluate(ast.parse(judged["expression"].replace(" AND ", " and "), mode="eval").body, data)
    if value is None:
        return {"breaching": True, "notBreaching": False}[alarm["treatMissingData"]]
    return {"GreaterThanThreshold": operator.gt}[alarm["comparisonOperator"]](value, alarm["threshold"])


def _evaluate(node: ast.AST, data: Mapping[str, float | None]) -> Any:
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return data[name]
        case ast.BinOp(left, operation, right) | ast.Compare(left, [operation], [right]):
            both = _evaluate(left, data), _evaluate(right, data)
            return None if None in both else _OPERATORS[type(operation)](*both)
        case ast.BoolOp(ast.And(), values):
            all_of = [_evaluate(value, data) for value in values]
            return None if None in all_of else all(all_of)
        case ast.Call(ast.Name("FILL"), [metric, filler]):
            value = _evaluate(metric, data)
            return _evaluate(filler, data) if value is None else value
        case ast.Call(ast.Name("IF"), [condition, holds, fails]):
            judged = _evaluate(condition, data)
            return None if judged is None else _evaluate(holds if judged else fails, data)
        case _:
            raise NotImplementedError(ast.unparse(node))
