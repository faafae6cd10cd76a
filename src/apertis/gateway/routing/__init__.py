"""Choice of an upstream, retries and failover. Pure: time and randomness are arguments."""

from apertis.gateway.routing.affinity import AffinityTable as AffinityTable
from apertis.gateway.routing.affinity import affinity_of as affinity_of
from apertis.gateway.routing.attempts import RouteAttempts as RouteAttempts
from apertis.gateway.routing.attempts import Stop as Stop
from apertis.gateway.routing.attempts import Try as Try
from apertis.gateway.routing.attempts import may_change_model as may_change_model
from apertis.gateway.routing.attempts import may_move as may_move
from apertis.gateway.routing.breaker import BreakerState as BreakerState
from apertis.gateway.routing.breaker import Cause as Cause
from apertis.gateway.routing.fallback import BOUND_HEADER as BOUND_HEADER
from apertis.gateway.routing.fallback import NO_FALLBACK as NO_FALLBACK
from apertis.gateway.routing.fallback import FallbackDefaults as FallbackDefaults
from apertis.gateway.routing.fallback import FallbackFields as FallbackFields
from apertis.gateway.routing.fallback import FallbackPlan as FallbackPlan
from apertis.gateway.routing.fallback import FallbackReason as FallbackReason
from apertis.gateway.routing.fallback import fallback_headers as fallback_headers
from apertis.gateway.routing.fallback import fallback_plan as fallback_plan
from apertis.gateway.routing.fallback import is_bound as is_bound
from apertis.gateway.routing.router import Router as Router
from apertis.gateway.routing.router import UpstreamState as UpstreamState
from apertis.gateway.routing.targets import Target as Target
from apertis.gateway.upstreams.outcome import Outcome as Outcome
from apertis.gateway.upstreams.outcome import outcome_of_error as outcome_of_error
from apertis.gateway.upstreams.outcome import outcome_of_fault as outcome_of_fault
from apertis.gateway.upstreams.outcome import outcome_of_status as outcome_of_status
