// Package apischema makes the JSON schemas that huma draws from Go types as narrow as the types are: which words a
// string may be, which strings are UUIDs, and what is never null.
package apischema

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// Prefix is where the named schemas are in a document, OpenAPI or AsyncAPI.
const Prefix = "#/components/schemas/"

// words are the types that stand for one of a few words, which Go cannot say of a type.
var words = map[reflect.Type][]any{
	reflect.TypeFor[domain.Role](): {domain.RoleCustomer, domain.RoleAdmin, domain.RoleDelivery},
	reflect.TypeFor[order.Status](): {
		order.StatusPlaced, order.StatusConfirmed, order.StatusPreparing, order.StatusReady, order.StatusOutForDelivery,
		order.StatusDelivered, order.StatusCancelled,
	},
	reflect.TypeFor[courier.Status](): {courier.StatusOnline, courier.StatusOffline, courier.StatusBusy},
	reflect.TypeFor[payment.Method](): {payment.MethodCash, payment.MethodCard, payment.MethodUPI, payment.MethodWallet},
	reflect.TypeFor[payment.Status](): {
		payment.StatusPending, payment.StatusCaptured, payment.StatusFailed, payment.StatusVoided,
		payment.StatusPartiallyRefunded, payment.StatusRefunded,
	},
	reflect.TypeFor[payment.RefundStatus](): {
		payment.RefundReportedEarly, payment.RefundRequested, payment.RefundDone, payment.RefundRefused,
	},
	reflect.TypeFor[offer.DiscountType](): {offer.DiscountPercent, offer.DiscountAmount},
}

// Narrow goes over the named schemas of a registry whose prefix is [Prefix]. It must be done before any is used.
func Narrow(registry huma.Registry) {
	for name, schema := range registry.Map() {
		typ := registry.TypeFromRef(Prefix + name)
		for typ != nil && typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ == nil || typ.Kind() != reflect.Struct {
			continue
		}
		for _, field := range reflect.VisibleFields(typ) {
			member, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if s := schema.Properties[member]; s != nil && s.Ref == "" {
				narrow(s, field.Type, strings.Contains(options, "omit"))
			}
		}
	}
}

// narrow says of a schema what its type says. A member that may be left out is not null.
func narrow(s *huma.Schema, typ reflect.Type, mayBeLeftOut bool) {
	defer s.PrecomputeMessages()
	if s.Type == huma.TypeArray {
		s.Nullable = false // a list without entries is empty
		if s.Items != nil && s.Items.Ref == "" {
			narrow(s.Items, typ.Elem(), false)
		}
		return
	}
	pointer := typ.Kind() == reflect.Pointer
	if pointer {
		typ = typ.Elem()
	}
	if typ == reflect.TypeFor[uuid.UUID]() {
		s.Format, s.Nullable = "uuid", pointer && !mayBeLeftOut // huma takes it for a list of bytes, and drops the null
	}
	if few := words[typ]; few != nil && s.Enum == nil {
		s.Enum = few
		if s.Nullable {
			s.Enum = append(s.Enum[:len(few):len(few)], nil)
		}
	}
}
