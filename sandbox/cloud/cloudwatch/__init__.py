"""CloudWatch: metrics, metric math, alarms and dashboards, as its documentation has them; Logs are the emulator's.

All that is measured is kept, judged and aligned in the sandbox's time, all that a client sends or is told is in the
machine's (see `clock`): with a scale of 60 an alarm's minute takes a second.

- `store` keeps what was measured, `expressions` computes metric math over it
- `judgement` decides an alarm's state from datapoints, `rules` a composite alarm's from its children's
- `alarms` holds alarms, evaluates them as time passes and tells SNS
- `wire` reads and writes the three protocols by the service's model, `service` has the operations
- `emitters` measures what AWS's services measure themselves, `embedded` reads metrics from log lines
"""
