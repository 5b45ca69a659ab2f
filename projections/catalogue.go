package projections

import (
	"reflect"
	"slices"
)

// Names of the events to clients.
const (
	EventBusinessStatus   = "business:status:update"
	EventOrderNew         = "order:new"
	EventOrderStatus      = "order:status:update"
	EventOrderAssigned    = "order:assigned"
	EventOrderCancelled   = "order:cancelled"
	EventDeliveryStatus   = "delivery:status:update"
	EventDeliveryLocation = "delivery:location:update"
	EventPaymentReceived  = "payment:received"
	EventPaymentFailed    = "payment:failed"
	EventPaymentRefunded  = "payment:refunded"
	EventNotificationNew  = "notification:new"
	EventOfferNew         = "offer:new"
	EventOfferUpdated     = "offer:updated"
	EventOfferWithdrawn   = "offer:withdrawn"
)

// Channels as the catalogue names them: a word in capitals stands for an id that the event gives. The one with
// AGENT is left out of an event's channels while there is no courier.
const (
	toAll      = ChannelAll
	toCustomer = "user:CUSTOMER"
	toAgent    = "user:AGENT"
	toUser     = "user:ID"
	toOrder    = "order:ID"
	toCourier  = "delivery:AGENT"

	toAdmins    = "role:admin"
	toCouriers  = "role:delivery"
	toCustomers = "role:customer"
)

// EventSpec describes an event to clients.
type EventSpec struct {
	Name    string
	Summary string // a sentence for people: when it comes
	// Channels carry it, such as "role:admin" or "user:CUSTOMER"; a word in capitals stands for an id.
	Channels []string
	// Payload is the Go type of its data, a struct with json tags.
	Payload reflect.Type
}

// catalogue has all events to clients. [Notify] finds here whom to tell, so this is what it does.
var catalogue = []EventSpec{
	{
		EventBusinessStatus, "The business opened or closed.",
		[]string{toAll},
		reflect.TypeFor[businessStatus](),
	},
	{
		EventOrderNew, "A customer placed an order.",
		[]string{toAdmins, toCouriers},
		reflect.TypeFor[orderNew](),
	},
	{
		EventOrderStatus, "An order went one step on.",
		[]string{toCustomer, toAdmins, toAgent, toOrder},
		reflect.TypeFor[orderStatus](),
	},
	{
		EventOrderAssigned, "An order was given to a courier.",
		[]string{toAgent, toOrder, toAdmins, toCustomer},
		reflect.TypeFor[orderAssigned](),
	},
	{
		EventOrderCancelled, "An order was cancelled.",
		[]string{toCustomer, toAdmins, toAgent, toOrder},
		reflect.TypeFor[orderCancelled](),
	},
	{
		EventDeliveryStatus, "A courier's status or current order changed.",
		[]string{toAdmins, toCourier},
		reflect.TypeFor[deliveryStatus](),
	},
	{
		EventDeliveryLocation, "The courier of an order said where it is.",
		[]string{toCustomer, toAdmins, toOrder, toCourier},
		reflect.TypeFor[deliveryLocation](),
	},
	{
		EventPaymentReceived, "The money of a payment came in.",
		[]string{toAdmins, toCustomer, toOrder},
		reflect.TypeFor[paymentNews](),
	},
	{
		EventPaymentFailed, "A payment came to nothing.",
		[]string{toAdmins, toCustomer, toOrder},
		reflect.TypeFor[paymentNews](),
	},
	{
		EventPaymentRefunded, "Money was given back.",
		[]string{toAdmins, toCustomer, toOrder},
		reflect.TypeFor[paymentNews](),
	},
	{
		EventNotificationNew, "The user's inbox has a new entry.",
		[]string{toUser},
		reflect.TypeFor[notificationNew](),
	},
	{
		EventOfferNew, "There is a new offer.",
		[]string{toCustomers, toAdmins},
		reflect.TypeFor[offerNews](),
	},
	{
		EventOfferUpdated, "The terms of an offer changed.",
		[]string{toCustomers, toAdmins},
		reflect.TypeFor[offerNews](),
	},
	{
		EventOfferWithdrawn, "An offer can no longer be used.",
		[]string{toCustomers, toAdmins},
		reflect.TypeFor[offerNews](),
	},
}

// channelsOf finds an event's channels in the catalogue.
var channelsOf = func() map[string][]string {
	m := make(map[string][]string, len(catalogue))
	for _, spec := range catalogue {
		m[spec.Name] = spec.Channels
	}
	return m
}()

// Catalogue returns all events to clients, in the order in which people read of them.
func Catalogue() []EventSpec {
	specs := slices.Clone(catalogue)
	for i := range specs {
		specs[i].Channels = slices.Clone(specs[i].Channels)
	}
	return specs
}
