"""The runs that lie in folders: found, described, compared, cleaned up. Imports no torch."""

from rgan_bench.catalogue.entry import FoundRun as FoundRun
from rgan_bench.catalogue.finding import find as find
from rgan_bench.catalogue.runs import Runs as Runs
