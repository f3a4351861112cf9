"""InfraValidator: would the model serve? In a fresh process that has TensorFlow and nothing else.

Comes in: a Model. Goes out: ParityReport: `parity.json` with the verdict, latency and memory. The
run stops if the SavedModel does not answer the golden records as the Keras model did, or breaks a
limit.
"""

import json

from penstock.tfx.artifacts import Model, ParityReport
from penstock.tfx.component import Component, Environment, ExecutionContext
from penstock.tfx.config import InfraConfig

FORMAT_VERSION = 1


class InfraValidator(Component):
    """A gate, see the module's docstring."""

    inputs = {"model": Model}
    outputs = {"parity": ParityReport}

    class Parameters(Component.Parameters):
        """The `infra` section of the config."""

        infra: InfraConfig

    @classmethod
    def environment(cls, parameters):
        return Environment(tensorflow=True, fresh=True)

    @classmethod
    def libraries(cls, parameters):
        return ("tensorflow", "numpy")

    @classmethod
    def still_true(cls, parameters, inputs, outputs):
        """A broken limit of time or memory may be the moment's: it is measured again."""
        report = json.loads((outputs["parity"].path / "parity.json").read_text())
        if report.get("measured_failure"):
            return "The stored report failed by measured time or memory, which may differ now."
        return None

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.tfx.evaluation import parity

        model = context.inputs["model"]
        report = parity.validate(model.path, context.parameters.infra)
        document = {"format_version": FORMAT_VERSION, "model": model.content_digest, **report}
        output = context.outputs["parity"]
        (output.path / "parity.json").write_text(json.dumps(document, indent=1) + "\n")
        output.properties = {"passed": report["passed"]}
        latency = report["latency_ms"] or {}
        times = {name: f"{latency[name]:.1f} ms" for name in ("p50", "p99") if latency}
        context.progress(**times, peak=f"{report['memory_mb']['peak']:.0f} MB")
        if not report["passed"]:
            reasons = report["reasons"]
            more = f" ({len(reasons) - 1} more in parity.json.)" if len(reasons) > 1 else ""
            context.stop(f"The model would not serve as it should. {reasons[0]}{more}")
