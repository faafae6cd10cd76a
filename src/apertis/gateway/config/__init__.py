"""The gateway's settings: one frozen value, read once, before anything starts."""

from apertis.gateway.config.read import read_model_prices as read_model_prices
from apertis.gateway.config.read import read_settings as read_settings
from apertis.gateway.config.read import read_store_settings as read_store_settings
from apertis.gateway.config.settings import MAX_BODY_BYTES as MAX_BODY_BYTES
from apertis.gateway.config.settings import AlertSettings as AlertSettings
from apertis.gateway.config.settings import AlertTargetSettings as AlertTargetSettings
from apertis.gateway.config.settings import CacheSettings as CacheSettings
from apertis.gateway.config.settings import LimitSettings as LimitSettings
from apertis.gateway.config.settings import LogSettings as LogSettings
from apertis.gateway.config.settings import ModelSettings as ModelSettings
from apertis.gateway.config.settings import MoneySettings as MoneySettings
from apertis.gateway.config.settings import OidcSettings as OidcSettings
from apertis.gateway.config.settings import OtlpSettings as OtlpSettings
from apertis.gateway.config.settings import PriceSettings as PriceSettings
from apertis.gateway.config.settings import RoutingSettings as RoutingSettings
from apertis.gateway.config.settings import SandboxSettings as SandboxSettings
from apertis.gateway.config.settings import Secret as Secret
from apertis.gateway.config.settings import ServerSettings as ServerSettings
from apertis.gateway.config.settings import Settings as Settings
from apertis.gateway.config.settings import StoreSettings as StoreSettings
from apertis.gateway.config.settings import UpstreamSettings as UpstreamSettings
from apertis.limiting.rates import Rate as Rate
from apertis.limiting.rates import parse_rate as parse_rate
