// The shop: people, a menu, and the steps of an order. What is asked for here is asked again while the server is away.

export class Shop {
  tokens = new Map(); // by user id
  product = '';

  constructor(program) {
    this.program = program;
    this.api = program.api;
  }

  /** open makes the users {id: role}, opens the business and puts a dish on the menu. The first admin is the boss. */
  static async open(program, users) {
    const shop = new Shop(program);
    await Promise.all(Object.entries(users).map(async ([user, role]) => {
      shop.tokens.set(user, await program.token(user, role, { name: `Name of ${user}` }));
      if (role === 'admin') shop.boss ??= user;
    }));
    await shop.announce('We open');
    const { id } = await shop.as(shop.boss, 'POST', '/products', {
      name: 'Margherita', description: 'Tomato, mozzarella, basil', price: 950, currency: 'EUR', available: true,
    });
    shop.product = id;
    return shop;
  }

  token = (user) => this.tokens.get(user);

  as(user, method, path, body) {
    return this.api.insist(method, path, { token: this.token(user), body });
  }

  /** announce tells everybody something. Its seq, returned, is a mark: whoever was told of it was told of all before it. */
  async announce(message, isOpen = true) {
    const { seq } = await this.as(this.boss, 'PATCH', '/business/status', { isOpen, message });
    return seq;
  }

  order = (customer, more = {}) => this.as(customer, 'POST', '/orders', {
    items: [{ product: this.product, quantity: 2 }], deliveryAddress: 'Via Roma 1', paymentMethod: 'cod', ...more,
  });

  step = (order, status, by = this.boss) => this.as(by, 'PATCH', `/orders/${order.id}/status`, { status });

  /** online lets a courier take orders; couriers who carry nothing are there for assign. */
  online = (courier, status = 'online') => this.as(courier, 'PATCH', '/delivery/status', { status });

  assign = (order, courier) => this.as(this.boss, 'POST', `/orders/${order.id}/assign`, { agentId: courier });

  cancel = (order, reason, by = this.boss) => this.as(by, 'POST', `/orders/${order.id}/cancel`, { reason });

  pay = (order, method, by = this.boss) => this.as(by, 'POST', `/orders/${order.id}/payments`, { method });

  collect = (payment, courier) => this.as(courier, 'POST', `/payments/${payment.id}/collect`);

  refund = (payment, reason, amount) => this.as(this.boss, 'POST', `/payments/${payment.id}/refund`, { reason, amount });

  feed = (user, lastSeq) => this.api.feed(this.token(user), lastSeq);
}
