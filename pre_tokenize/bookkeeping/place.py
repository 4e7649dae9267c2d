"""Which share of a list is a process's, and where its work lies; imported without torch."""

from dataclasses import dataclass

from pre_tokenize.lists.table import Table, part_of
from xllmx.store.address import Location, location_of


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which share of a table is this process's. Raises `ValueError` for one that is not there."""

    task: tuple[int, int] = (1, 1)
    """Index from 1, number: of the machines that share the table."""
    rank: tuple[int, int] = (0, 1)
    """Index from 0, number: of the processes that share the machine's part."""

    def __post_init__(self) -> None:
        for name, number in (("all_tasks", self.task[1]), ("splits", self.rank[1])):
            if number < 1:
                raise ValueError(f"--{name} is {number}; it must be at least 1")
        task, rank = self.task, self.rank
        if not 1 <= task[0] <= task[1]:
            raise ValueError(f"--task_id is {task[0]}; it must be one of 1..{task[1]} (--all_tasks is {task[1]})")
        if not 0 <= rank[0] < rank[1]:
            raise ValueError(f"--rank is {rank[0]}; it must be one of 0..{rank[1] - 1} (--splits is {rank[1]})")

    def rows_of(self, table: Table) -> range:
        """The rows of this process."""
        mine = part_of(range(len(table.items)), self.task[1], index=self.task[0] - 1)
        return part_of(mine, self.rank[1], index=self.rank[0])

    def folder_in(self, output_dir: str | Location) -> Location:
        """The folder of this process."""
        return rank_folder(output_dir, task=self.task, rank=self.rank)


def rank_folder(output_dir: str | Location, *, task: tuple[int, int], rank: tuple[int, int]) -> Location:
    """The folder of process `rank` = (index from 0, number) of task `task` = (index from 1, number)."""
    return location_of(output_dir) / f"{task[0]}-in-{task[1]}" / f"{rank[0]}-of-{rank[1]}"
