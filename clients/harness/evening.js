// An evening: orders that are placed, paid, cooked, carried and sometimes cancelled, until it is enough. What is asked
// while the server is away is asked again, so that every order gets to its end.

import { pause } from './until.js';

/**
 * Evening leads orders in lanes, one at a time in each lane, with a courier of its own. pace is the longest time between
 * two steps, in ms: it settles how much happens.
 */
export class Evening {
  orders = 0;
  #open = true;
  #lanes;

  constructor(shop, { customers, couriers, pace, random }) {
    this.#lanes = Promise.all(couriers.map((courier) => this.#lane(shop, customers, courier, pace, random.fork())));
    this.#lanes.catch(() => {}); // told by close
  }

  /** close lets the orders that are under way come to their end. */
  async close() {
    this.#open = false;
    await this.#lanes;
  }

  async #lane(shop, customers, courier, pace, random) {
    await shop.online(courier);
    while (this.#open) {
      const step = async (act) => {
        const done = await act();
        await pause(random.below(pace));
        return done;
      };
      const customer = random.of(customers);
      const order = await step(() => shop.order(customer));
      const payment = await step(() => shop.pay(order, random.of(['card', 'cod']), customer));
      if (payment.method === 'card') await step(() => shop.api.provider('payment.captured', payment));
      await step(() => shop.step(order, 'confirmed'));
      await step(() => shop.assign(order, courier));
      if (random.below(5) === 0) {
        await step(() => shop.cancel(order, 'The oven broke'));
      } else {
        for (const status of ['preparing', 'ready', 'out_for_delivery']) await step(() => shop.step(order, status));
        if (payment.method === 'cod') await step(() => shop.collect(payment, courier));
        await step(() => shop.step(order, 'delivered', courier));
      }
      this.orders++;
    }
  }
}
