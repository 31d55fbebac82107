"""Collapse of several tasks: features with a class of each task, not of one.

`task_moments` and `TaskPass` are the two passes over features [n, d] and labels [n, T];
`measure` turns them into NC1 to NC4 of each task, the cosines between tasks, and how
far a feature is from a sum of one vector for each task.
"""

from ncjax.tasks.cosines import (
    cross_cosines as cross_cosines,
    cross_task as cross_task,
    task_means as task_means,
    task_rows as task_rows,
)
from ncjax.tasks.labels import (
    check_labels as check_labels,
    check_sizes as check_sizes,
    parts as parts,
    task_weights as task_weights,
)
from ncjax.tasks.measure import (
    METRICS as METRICS,
    mean_and_each as mean_and_each,
    measure as measure,
    measure_features as measure_features,
)
from ncjax.tasks.moments import (
    TaskMoments as TaskMoments,
    task_moments as task_moments,
)
from ncjax.tasks.second_pass import TaskPass as TaskPass
from ncjax.tasks.sums import Sums as Sums
