"""A hand-written strategy: buys Google after a fall from its 20-day high, sells after it has recovered.

It runs beside the YAML strategies with the same wrappers, gate, journal and books. Nothing here calls the broker.
"""

from datetime import timedelta

from runner.model.bars import BarSize
from runner.strategy.base_strategy import PARAMS as BASE_PARAMS
from runner.strategy.base_strategy import BaseStrategy, symbols_of

PARAMS = {
    **BASE_PARAMS,
    "universe": "GOOG",
    "target_weight": 0.10,
    "min_weight": 0.05,
    "max_weight": 0.15,
    "stop_loss": 0.08,
    "dip": 0.05,  # fall from the 20-day high that is bought, fraction
    "recovery": 0.04,  # gain on the entry price that is sold, fraction
    "patience_days": 40,  # calendar days after which a position is given up
}


class GoogDipsStrategy(BaseStrategy):
    async def initialize_strategy(self):
        symbol = symbols_of(self.params["universe"])[0]
        (self.contract,) = await self.qualify(symbol)
        self.feed = await self.open_feed([self.contract], BarSize.DAY_1, history=20)
        self.highs = [bar.high for bar in self.feed.warm[self.contract.con_id]]
        self.entered = None

    async def run_strategy(self):
        while self.is_running:
            moment = await self.feed.next()  # asking for the next moment says that the last one is dealt with
            for change in moment.changes:
                if change.complete:
                    self.highs = [*self.highs[-19:], change.bar.high]
                    await self.settle()  # fills that came before this bar are in the books now
                    await self.on_close(moment.at, change.bar.close)

    async def on_close(self, at, close):
        held = self.strategy_manager.portfolio_manager.position(self.symbol, self.contract.con_id)
        if held is None or held.quantity == 0:
            if close <= max(self.highs) * (1 - self.params["dip"]):
                await self.order_target_weight(self.contract, 1.0, reason="dip")
                self.entered = at
            return
        entry = float(held.average_price)
        self.entered = self.entered or at
        if close >= entry * (1 + self.params["recovery"]):
            await self.close_position(self.contract, reason="recovered")
        elif close <= entry * (1 - self.params["stop_loss"]):
            await self.close_position(self.contract, reason="stop_loss")
        elif at - self.entered > timedelta(days=self.params["patience_days"]):
            await self.close_position(self.contract, reason="patience")
