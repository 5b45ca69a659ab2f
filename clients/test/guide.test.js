// The examples of the guide to the server that this one replaces, as its apps write them. Only the address is another,
// and what a phone or a browser has is a stand-in.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { io } from 'socket.io-client';

import { Program } from '../harness/program.js';
import { Shop } from '../harness/shop.js';
import { until } from '../harness/until.js';

let program;
let shop;
let URL_OF_SERVER;
const sockets = new Set();
let said; // what the examples print, show and alert

before(async () => {
  program = await Program.begin();
  URL_OF_SERVER = program.url;
  shop = await Shop.open(program, { ada: 'admin', carl: 'customer', dave: 'delivery' });
  await shop.online('dave');
});

beforeEach(() => { said = []; });

after(async () => {
  for (const socket of sockets) socket.disconnect();
  await program?.end();
});

const console = { log: (...args) => said.push(args) };
const Alert = { alert: (...args) => said.push(args) };
const shown = (...wanted) => until(() => `${wanted.join(' ')} in ${JSON.stringify(said)}`, () => said.find((args) => wanted.every((one, i) => args[i] === one)));

// The guide's frontend/src/services/socketService.js.
class SocketService {
  socket = null;

  constructor(AsyncStorage) {
    this.AsyncStorage = AsyncStorage;
  }

  async connect(userId, role = 'customer') {
    const token = await this.AsyncStorage.getItem('accessToken');

    this.socket = io(URL_OF_SERVER, {
      auth: { token: `Bearer ${token}` },
      transports: ['websocket', 'polling'],
      reconnection: true,
      reconnectionDelay: 1000,
      reconnectionAttempts: 5,
    });
    sockets.add(this.socket);

    // Connection events
    this.socket.on('connect', () => {
      console.log('Connected to server');
      this.socket.emit('register', { userId, role });
    });

    this.socket.on('disconnect', (reason) => {
      console.log('Disconnected:', reason);
    });

    this.socket.on('registered', (data) => {
      console.log('Registered:', data);
    });
  }

  disconnect() {
    if (this.socket) {
      this.socket.disconnect();
    }
  }

  on(event, callback) {
    if (this.socket) {
      this.socket.on(event, callback);
    }
  }

  off(event) {
    if (this.socket) {
      this.socket.off(event);
    }
  }

  emit(event, data) {
    if (this.socket) {
      this.socket.emit(event, data);
    }
  }
}

async function appOf(user, role) {
  const service = new SocketService({ getItem: async () => shop.token(user) });
  await service.connect(user, role);
  const [, data] = await shown('Registered:');
  assert.equal(data.userId, user);
  assert.equal(data.role, role);
  const heard = [];
  service.on('business:status:update', ({ seq }) => heard.push(seq));
  const mark = await shop.announce('A mark'); // what was done before it is told by then, and is not the example's
  await until('the mark', () => heard.includes(mark));
  service.off('business:status:update');
  said = [];
  return service;
}

test('order tracking: a customer joins with the bare id, sees the status and where the order is', async () => {
  const socketService = await appOf('carl', 'customer');
  const order = await shop.order('carl');
  const orderId = order.id;
  const state = {};
  const setOrderStatus = (status) => { state.status = status; };
  const setDeliveryLocation = (location) => { state.location = location; };

  // The guide's OrderTrackingScreen.
  const effect = () => {
    socketService.emit('join:order', orderId);
    socketService.on('order:status:update', (data) => {
      console.log('Order update:', data);
      setOrderStatus(data.status);
      Alert.alert('Order Update', data.message);
    });
    socketService.on('delivery:location:update', (data) => {
      console.log('Delivery location:', data.location);
      setDeliveryLocation(data.location);
    });
    return () => {
      socketService.emit('leave:order', orderId);
      socketService.off('order:status:update');
      socketService.off('delivery:location:update');
    };
  };
  const cleanup = effect();

  await shop.step(order, 'confirmed');
  await until('the status', () => state.status === 'confirmed');
  await shown('Order Update', 'Your order has been confirmed');
  await shop.assign(order, 'dave');
  for (const status of ['preparing', 'ready', 'out_for_delivery']) await shop.step(order, status);
  await shop.as('dave', 'POST', '/delivery/location', { orderId, latitude: 45.07, longitude: 7.69 });
  await until('the place', () => state.location);
  assert.deepEqual(state.location, { lat: 45.07, lng: 7.69 });
  assert.equal(said.filter(([what]) => what === 'Order update:').length, 4, 'each once, though the room carries it as well');

  cleanup();
  await shop.step(order, 'delivered');
  await new Promise((resolve) => socketService.socket.emit('ping', resolve));
  await until('the end of the tracking', () => state.status === 'out_for_delivery');
  socketService.disconnect();
  await shown('Disconnected:', 'io client disconnect');
});

test('admin dashboard: new orders, payments and couriers', async () => {
  const socketService = await appOf('ada', 'admin');
  const calls = [];
  const playNotificationSound = () => calls.push('sound');
  const showToast = (text) => calls.push(text);
  const refreshOrders = () => calls.push('refresh');
  const updateDashboardStats = () => calls.push('stats');
  const updateDeliveryAgentStatus = (...args) => calls.push(args.join(' '));

  // The guide's dashboard.
  socketService.on('order:new', (data) => {
    console.log('New order:', data);
    playNotificationSound();
    showToast(`New order from ${data.customerName}`);
    refreshOrders();
  });
  socketService.on('payment:received', (data) => {
    console.log('Payment received:', data);
    updateDashboardStats();
  });
  socketService.on('delivery:status:update', (data) => {
    console.log('Delivery status:', data);
    updateDeliveryAgentStatus(data.deliveryBoyId, data.status);
  });
  const changed = [];
  socketService.on('order:status:changed', (data) => changed.push(data.status));

  const order = await shop.order('carl', { paymentMethod: 'card' });
  const payment = await shop.pay(order, 'card', 'carl');
  await shop.api.provider('payment.captured', payment);
  await shop.online('dave', 'offline');
  await shop.online('dave', 'online');
  await shop.step(order, 'confirmed');
  await until(() => `all of it: ${calls}; ${changed}`, () => changed.length === 1 && calls.length >= 6);
  assert.deepEqual(calls, ['sound', 'New order from Name of carl', 'refresh', 'stats', 'dave offline', 'dave online']);
  assert.deepEqual(changed, ['confirmed']);
  assert.equal(said.find(([what]) => what === 'Payment received:')[1].amount, 1900);
  for (const event of ['order:new', 'payment:received', 'delivery:status:update']) socketService.off(event);
  socketService.disconnect();
});

test('delivery agent: told of the assignment, sends its place with what the phone knows', async () => {
  const socketService = await appOf('dave', 'delivery');
  const admin = await (async () => {
    const service = new SocketService({ getItem: async () => shop.token('ada') });
    await service.connect('ada', 'admin');
    return service;
  })();
  const places = [];
  admin.on('delivery:location:update', (data) => places.push(data));
  await until('the admin is there', () => admin.socket.connected);
  await new Promise((resolve) => admin.socket.emit('ping', resolve));
  const navigation = { navigate: (...args) => said.push(args) };

  // The guide's agent app.
  socketService.on('order:assigned', (data) => {
    Alert.alert('New Order Assigned', `Order #${data.orderNumber}`);
    navigation.navigate('OrderDetails', { orderId: data.orderId });
  });
  const currentOrder = await shop.order('carl');
  await shop.assign(currentOrder, 'dave');
  await shown('New Order Assigned', `Order #${currentOrder.orderNumber}`);
  assert.deepEqual((await shown('OrderDetails'))[1], { orderId: currentOrder.id });

  const getCurrentPositionAsync = async () => ({ coords: { latitude: 45.07, longitude: 7.69, speed: null, heading: null } });
  const location = await getCurrentPositionAsync();
  socketService.emit('delivery:location', {
    orderId: currentOrder.id,
    latitude: location.coords.latitude,
    longitude: location.coords.longitude,
    speed: location.coords.speed,
    heading: location.coords.heading,
  });
  await until('the place', () => places.length === 1);
  assert.equal(places[0].orderId, currentOrder.id);
  assert.deepEqual(places[0].location, { lat: 45.07, lng: 7.69 });
  socketService.disconnect();
  admin.disconnect();
});

test('test-socket.js: without a token it connects, is registered, and hears of the business', async () => {
  // The guide's backend/test-socket.js.
  const socket = io(URL_OF_SERVER);
  sockets.add(socket);
  socket.on('connect', () => {
    console.log('Connected:', socket.id);
    socket.emit('register', {
      userId: '507f1f77bcf86cd799439011',
      role: 'customer',
    });
  });
  socket.on('registered', (data) => {
    console.log('Registered:', data);
  });
  socket.on('business:status:update', (data) => {
    console.log('Business update:', data);
  });
  socket.on('order:status:update', (data) => {
    console.log('Order update:', data);
  });
  socket.on('disconnect', () => {
    console.log('Disconnected');
  });

  const [, data] = await shown('Registered:');
  assert.equal(data.role ?? null, null, 'it is let in as nobody');
  await shop.step(await shop.order('carl'), 'confirmed');

  // The guide's curl -X PATCH …/business/status.
  const answer = await fetch(`${URL_OF_SERVER}/api/v1/business/status`, {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${shop.token('ada')}` },
    body: '{"isOpen": true}',
  });
  assert.equal(answer.status, 200);
  const [, update] = await shown('Business update:');
  assert.equal(update.isOpen, true);
  assert.deepEqual(Object.keys(update).sort(), ['businessName', 'isOpen', 'message', 'seq']);
  assert.equal(said.some(([what]) => what === 'Order update:'), false);
  socket.disconnect();
  await shown('Disconnected');
});

test('troubleshooting: the addresses answer, and the options are taken', async () => {
  assert.equal((await fetch(`${URL_OF_SERVER}/health`)).status, 200);
  const bare = await fetch(`${URL_OF_SERVER}/socket.io/`);
  assert.equal(bare.status, 400);
  assert.deepEqual(await bare.json(), { code: 0, message: 'Transport unknown' });

  const debugging = io(URL_OF_SERVER, { transports: ['websocket', 'polling'], debug: true, forceNew: true });
  const trying = io(URL_OF_SERVER, {
    auth: { token: shop.token('carl') },
    transports: ['websocket', 'polling'],
    forceNew: true,
    reconnection: true,
    reconnectionDelay: 1000,
    reconnectionDelayMax: 5000,
    reconnectionAttempts: 5,
  });
  for (const socket of [debugging, trying]) sockets.add(socket);
  trying.onAny((event, ...args) => {
    console.log('Socket event:', event, args);
  });
  await until('both', () => debugging.connected && trying.connected);
  trying.emit('register', { userId: 'carl', role: 'customer' });
  await shown('Socket event:', 'registered');
  debugging.disconnect();
  trying.disconnect();
});

test('several connections of a user are kept, and each is told', async () => {
  const phones = await Promise.all(['phone', 'tablet'].map(async () => {
    const socket = io(URL_OF_SERVER, { auth: { token: `Bearer ${shop.token('carl')}` }, forceNew: true });
    sockets.add(socket);
    const titles = [];
    socket.on('notification:new', (data) => titles.push(data.title));
    await until('it is registered', () => socket.connected);
    await socket.emitWithAck('register', { userId: 'carl', role: 'customer' });
    return { socket, titles };
  }));
  await shop.as('ada', 'POST', '/notifications', { userId: 'carl', title: 'To both', message: 'Hello', type: 'info' });
  await until('both are told', () => phones.every(({ titles }) => titles.includes('To both')));
  phones[1].socket.disconnect();
  await shop.as('ada', 'POST', '/notifications', { userId: 'carl', title: 'To one', message: 'Hello', type: 'info' });
  await until('the first is told', () => phones[0].titles.includes('To one'));
  assert.deepEqual(phones[1].titles.filter((title) => title === 'To one'), []);
  phones[0].socket.disconnect();
});

test('the namespaces for roles, and who is connected', async () => {
  const admin = io(`${URL_OF_SERVER}/admin`, { auth: { token: `Bearer ${shop.token('ada')}` }, forceNew: true });
  sockets.add(admin);
  const orders = [];
  admin.on('order:new', (data) => orders.push(data.orderId));
  await until('it is connected', () => admin.connected);
  await admin.emitWithAck('ping');
  const order = await shop.order('carl');
  await until('the order', () => orders.includes(order.id));

  const status = await shop.api.get(shop.token('ada'), '/socket/status');
  assert.ok(status.connectedUsers.includes('ada'));
  assert.ok(status.totalConnections >= 1);
  const metrics = await shop.api.get(shop.token('ada'), '/metrics/socket');
  assert.ok(metrics.connectedUsers >= 1);
  assert.ok(metrics.eventMetrics['order:new'] >= 1);
  assert.ok(metrics.uptime > 0);
  admin.disconnect();
});
