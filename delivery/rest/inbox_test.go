package rest

import (
	"strings"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/projections"
)

func TestWhatInboxCommandsAreAsked(t *testing.T) {
	t.Parallel()
	commandsAre(t, []asked{
		{"POST", "/notifications", "admin", news, commands.Notify{UserID: "asha", Title: "Hello", Message: "There is soup", Type: "news"}},
		{"PATCH", "/notifications/" + entryID.String() + "/read", "asha", ``, commands.ReadNotification{ID: entryID}},
		{"PATCH", "/notifications/" + entryID.String() + "/read", "asha", `{"read":false}`, commands.ReadNotification{ID: entryID}},
		{"POST", "/notifications/read-all", "asha", ``, "read all"},
		{"POST", "/notifications/read-all", "asha", `{}`, "read all"},
	})
}

func TestInboxRequestsThatAreNotValid(t *testing.T) {
	t.Parallel()
	change := func(from, to string) string { return strings.Replace(news, from, to, 1) }
	refusals(t, []invalid{
		{"POST", "/notifications", "admin", change(`"userId":"asha",`, ""), "body"},
		{"POST", "/notifications", "admin", change(`"asha"`, "7"), "body.userId"},
		{"POST", "/notifications", "admin", change(`"Hello"`, "null"), "body.title"},
		{"POST", "/notifications", "admin", change(`"There is soup"`, "{}"), "body.message"},
		{"POST", "/notifications", "admin", change(`"news"`, `"Big News"`), "body.type"},
		{"POST", "/notifications", "admin", change(`"news"`, `""`), "body.type"},
		{"POST", "/notifications", "admin", change("Hello", "\xc3\x28"), "body"},
		{"PATCH", "/notifications/7/read", "asha", ``, "path.id"},
		{"GET", "/notifications?unread=some", "asha", ``, "query.unread"},
		{"GET", "/notifications?limit=-1", "asha", ``, "query.limit"},
	})
}

func TestTheInboxIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for query, want := range map[string]projections.InboxQuery{
		"":                           {UserID: "asha", Limit: 50},
		"?unread=":                   {UserID: "asha", Limit: 50},
		"?unread=true":               {UserID: "asha", Unread: &yes, Limit: 50},
		"?unread=false":              {UserID: "asha", Unread: &no, Limit: 50},
		"?userId=ben":                {UserID: "asha", Limit: 50},
		"?unread=1&limit=7&cursor=c": {UserID: "asha", Unread: &yes, Limit: 7, After: "c"},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.more = "n"
			got := ask(t, w.handler(t), "GET", prefix+"/notifications"+query, "asha")
			if items, _ := got.body["items"].([]any); got.status != 200 || len(items) != 1 || got.body["next"] != "n" ||
				got.body["unread"] != 3.0 || got.header.Get("X-Seq") != "42" {
				t.Fatalf("got %d: %s", got.status, got.text)
			}
			if !sameJSON(t, w.queries[0], want) {
				t.Errorf("asked for %+v, want %+v", w.queries[0], want)
			}
		})
	}
}

func TestReadingTheInbox(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	if got := ask(t, h, "POST", prefix+"/notifications", "admin", news); got.status != 201 || got.body["id"] != entryID.String() || got.body["read"] != false {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	if got := ask(t, h, "PATCH", prefix+"/notifications/"+entryID.String()+"/read", "asha"); got.status != 200 || got.body["read"] != true {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	got := ask(t, h, "POST", prefix+"/notifications/read-all", "asha")
	if got.status != 200 || got.body["unread"] != 0.0 || got.header.Get("X-Seq") != "50" {
		t.Errorf("got %d: %s", got.status, got.text)
	}
}
