"""The values that pass between the stages: plain frozen records without behavior.

Times are nanoseconds since the Unix epoch (``*_ns``, int), always from the log. Durations are nanoseconds too.
Nothing here reads a clock, a file or the environment.
"""

from __future__ import annotations

from otel_logtail.model.answers import Activity as Activity
from otel_logtail.model.answers import Delivered as Delivered
from otel_logtail.model.answers import Deliveries as Deliveries
from otel_logtail.model.answers import Delivery as Delivery
from otel_logtail.model.answers import Partial as Partial
from otel_logtail.model.answers import Refused as Refused
from otel_logtail.model.answers import Retry as Retry
from otel_logtail.model.batch import Batch as Batch
from otel_logtail.model.batch import Breaches as Breaches
from otel_logtail.model.batch import Chunk as Chunk
from otel_logtail.model.batch import Counts as Counts
from otel_logtail.model.batch import Episode as Episode
from otel_logtail.model.batch import FileState as FileState
from otel_logtail.model.batch import Fingerprint as Fingerprint
from otel_logtail.model.batch import Instrument as Instrument
from otel_logtail.model.batch import IntervalKey as IntervalKey
from otel_logtail.model.batch import OpenEpisodes as OpenEpisodes
from otel_logtail.model.batch import Part as Part
from otel_logtail.model.batch import SeriesKey as SeriesKey
from otel_logtail.model.batch import SparseInterval as SparseInterval
from otel_logtail.model.batch import Tally as Tally
from otel_logtail.model.batch import Unfinished as Unfinished
from otel_logtail.model.items import HEALTH_NAMES as HEALTH_NAMES
from otel_logtail.model.items import BreachRecord as BreachRecord
from otel_logtail.model.items import Dropped as Dropped
from otel_logtail.model.items import EpisodeRecord as EpisodeRecord
from otel_logtail.model.items import ExportBatch as ExportBatch
from otel_logtail.model.items import HealthRecord as HealthRecord
from otel_logtail.model.items import HealthValue as HealthValue
from otel_logtail.model.items import Item as Item
from otel_logtail.model.items import MarkRecord as MarkRecord
from otel_logtail.model.items import PartRecord as PartRecord
from otel_logtail.model.items import Point as Point
from otel_logtail.model.items import SourceInfo as SourceInfo
from otel_logtail.model.items import Stream as Stream
from otel_logtail.model.samples import OVERFLOW as OVERFLOW
from otel_logtail.model.samples import Attributes as Attributes
from otel_logtail.model.samples import Columns as Columns
from otel_logtail.model.samples import Hits as Hits
from otel_logtail.model.samples import Ignored as Ignored
from otel_logtail.model.samples import Mark as Mark
from otel_logtail.model.samples import Observed as Observed
from otel_logtail.model.samples import Rejected as Rejected
from otel_logtail.model.samples import Sample as Sample
from otel_logtail.model.samples import Samples as Samples
from otel_logtail.model.samples import Severity as Severity
from otel_logtail.model.samples import Shape as Shape
