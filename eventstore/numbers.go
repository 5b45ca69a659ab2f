package eventstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// MaxDigits bounds how many digits of a number have to be written when it is written without an exponent, as PostgreSQL
// does. Whatever a float64 or an integer of 64 bits can be has less than half as many.
const MaxDigits = 1000

// storableNumbers tells whether the numbers of a JSON value can be stored, and read again: "1e131071" is let in with its 8
// bytes and given out with 131072, so that a small payload could be one that nobody can read, and nobody get past.
func storableNumbers(data json.RawMessage) error {
	written := len(data)
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case c == '-' || '0' <= c && c <= '9':
			length := bytes.IndexAny(data[i:], ",]} \t\r\n")
			if length < 0 {
				length = len(data) - i
			}
			extra := zeros(data[i : i+length])
			if length > MaxDigits || extra > MaxDigits-length {
				return fmt.Errorf("the number %.20s… has more than %d digits when it is written out", data[i:i+length], MaxDigits)
			}
			written += extra
			i += length - 1
		}
	}
	if written > MaxData {
		return fmt.Errorf("%d bytes with the numbers written out; the most is %d", written, MaxData)
	}
	return nil
}

// zeros is about how many digits the exponent of a JSON number adds to it, at most one more than [MaxDigits].
func zeros(number []byte) int {
	at := bytes.IndexAny(number, "eE")
	if at < 0 {
		return 0
	}
	digits := bytes.TrimLeft(number[at+1:], "+-0")
	n, err := strconv.Atoi("0" + string(digits))
	if err != nil || n > MaxDigits {
		return MaxDigits + 1
	}
	return n
}
