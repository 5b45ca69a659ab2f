package check

// world is what the log says up to some event: a small fold of its own.
type world struct {
	seq      int64
	open     bool
	orders   map[string]*orderState
	payments map[string]*paymentState
	couriers map[string]*courierState
	offers   map[string]*offerState
	products map[string]*productState
	read     map[string]bool // entries of inboxes that were read one by one
}

type orderState struct {
	number, customer, agent, status, payment, offer string
	subtotal, discount, total                       int64
	payments                                        []string
}

type paymentState struct {
	order, customer               string
	failed, voided                bool
	amount                        int64
	captured, refunded, refundDue int64
	refunds                       map[string]int64 // that count, by their id
	reported                      map[string]bool  // all that were told of and not refused, by their id
}

// status is where the contract says that a payment is.
func (p *paymentState) status() string {
	switch {
	case p.captured > 0 && p.refunded == 0:
		return "captured"
	case p.captured > 0 && p.refunded < p.captured:
		return "partially_refunded"
	case p.captured > 0:
		return "refunded"
	case p.voided:
		return "voided"
	case p.failed:
		return "failed"
	}
	return "pending"
}

// kept is what stays of a payment when all that is due is given back.
func (p *paymentState) kept() int64 { return p.captured - p.refunded - p.refundDue }

type courierState struct {
	status, chosen, order, customer string
}

type offerState struct {
	code, description, discountType                               string
	discountValue, minOrder, maxDiscount, maxUses, maxUsesPerUser int64
	withdrawn                                                     bool
	uses                                                          int64
	usesOf                                                        map[string]int64
}

type productState struct {
	price     int64
	available bool
	archived  bool
}

func newWorld() *world {
	return &world{
		orders: map[string]*orderState{}, payments: map[string]*paymentState{}, couriers: map[string]*courierState{},
		offers: map[string]*offerState{}, products: map[string]*productState{}, read: map[string]bool{},
	}
}

func (w *world) order(id string) *orderState     { return of(w.orders, id) }
func (w *world) payment(id string) *paymentState { return of(w.payments, id) }
func (w *world) courier(id string) *courierState { return of(w.couriers, id) }
func (w *world) offer(code string) *offerState   { return of(w.offers, offerKey(code)) }
func (w *world) product(id string) *productState { return of(w.products, id) }

func of[S any](m map[string]*S, id string) *S {
	s := m[id]
	if s == nil {
		s = new(S)
		m[id] = s
	}
	return s
}

// offerKey: codes that differ only in case are the same offer.
func offerKey(code string) string {
	upper := []byte(code)
	for i, c := range upper {
		if 'a' <= c && c <= 'z' {
			upper[i] = c - 'a' + 'A'
		}
	}
	return string(upper)
}

func (w *world) apply(e *event) {
	w.seq = e.seq
	b := &e.body
	switch e.typ {
	case opened, closed:
		w.open = e.typ == opened
	case productAdded, productUpdated, productArchived:
		w.applyProduct(e)
	case orderPlaced, orderChanged, orderAssigned, orderCancelled, paymentOpened, paymentClosed:
		w.applyOrder(e)
	case courierChanged:
		c := w.courier(b.AgentID)
		c.status, c.chosen = b.Status, b.Chosen
	case courierTook:
		c := w.courier(b.AgentID)
		c.status, c.order, c.customer = b.Status, b.OrderID, b.CustomerID
	case courierReleased:
		c := w.courier(b.AgentID)
		c.status, c.order, c.customer = b.Status, "", ""
	case offerCreated, offerUpdated, offerWithdrawn, offerUseCounted, offerUseReturned:
		w.applyOffer(e)
	case inboxRead:
		w.read[b.ID] = true
	default:
		w.applyPayment(e)
	}
}

func (w *world) applyProduct(e *event) {
	p := w.product(e.body.ProductID)
	if e.body.Price != nil {
		p.price = *e.body.Price
	}
	if e.body.Available != nil {
		p.available = *e.body.Available
	}
	p.archived = p.archived || e.typ == productArchived
}

func (w *world) applyOrder(e *event) {
	b := &e.body
	o := w.order(b.OrderID)
	switch e.typ {
	case orderPlaced:
		o.number, o.customer, o.status, o.offer = b.OrderNumber, b.CustomerID, "placed", b.OfferCode
		o.subtotal, o.discount, o.total = b.Subtotal, b.Discount, b.TotalAmount
	case orderChanged:
		o.status = b.To
	case orderAssigned:
		o.agent = b.AgentID
	case orderCancelled:
		o.status = "cancelled"
	case paymentOpened:
		o.payment = b.PaymentID
	case paymentClosed:
		if o.payment == b.PaymentID {
			o.payment = ""
		}
	}
}

func (w *world) applyPayment(e *event) {
	b := &e.body
	if b.PaymentID == "" {
		return
	}
	p := w.payment(b.PaymentID)
	switch e.typ {
	case paymentStarted:
		p.order, p.customer, p.amount, p.refunds = b.OrderID, b.CustomerID, b.Amount, map[string]int64{}
		p.reported = map[string]bool{}
		o := w.order(b.OrderID)
		o.payments = append(o.payments, b.PaymentID)
	case paymentCaptured:
		p.captured += b.Amount
	case paymentFailed:
		p.failed = true
	case paymentVoided:
		p.voided = true
	case paymentDue:
		p.refundDue += b.Amount
	case paymentRefunded:
		p.refunded += b.Amount
		p.refundDue = max(0, p.refundDue-b.Amount)
		if p.refunds != nil {
			p.refunds[b.RefundID], p.reported[b.RefundID] = b.Amount, true
		}
	case refundReported:
		if p.reported != nil {
			p.reported[b.RefundID] = true
		}
	case refundFailed:
		p.refunded -= b.Amount
		p.refundDue += b.Amount
		delete(p.refunds, b.RefundID)
		delete(p.reported, b.RefundID)
	}
}

func (w *world) applyOffer(e *event) {
	b := &e.body
	o := w.offer(b.Code)
	by := int64(1)
	switch e.typ {
	case offerCreated, offerUpdated:
		o.code, o.description, o.discountType, o.discountValue = b.Code, b.Description, b.DiscountType, b.DiscountValue
		o.minOrder, o.maxDiscount, o.maxUses, o.maxUsesPerUser = b.MinOrder, b.MaxDiscount, b.MaxUses, b.MaxUsesPerUser
		return
	case offerWithdrawn:
		o.withdrawn = true
		return
	case offerUseReturned:
		by = -1
	}
	if b.Scope == "all" {
		o.uses += by
		return
	}
	if o.usesOf == nil {
		o.usesOf = map[string]int64{}
	}
	o.usesOf[b.CustomerID] += by
}
