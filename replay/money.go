package replay

import (
	"strconv"
	"strings"
)

// The currencies of ISO 4217 by how many decimals their minor unit has. Tables made for showing prices have others for
// some of them, such as none for IQD, because nobody uses the coins.
const (
	withoutDecimals = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
	withTwo         = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF " +
		"CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG " +
		"HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN " +
		"MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD " +
		"SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
	withThree = "BHD IQD JOD KWD LYD OMR TND"
	withFour  = "CLF UYW"
)

var decimals = func() map[string]int {
	all := make(map[string]int)
	for n, currencies := range map[int]string{0: withoutDecimals, 2: withTwo, 3: withThree, 4: withFour} {
		for currency := range strings.FieldsSeq(currencies) {
			all[currency] = n
		}
	}
	return all
}()

// money writes an amount of minor units as people do: "19.00 EUR", "1900 JPY". Of a currency that it does not know it
// says what the number is.
func money(amount int64, currency string) string {
	n, known := decimals[currency]
	switch {
	case !known:
		return strings.TrimSpace(strconv.FormatInt(amount, 10) + " minor units of " + currency)
	case n == 0:
		return strconv.FormatInt(amount, 10) + " " + currency
	}
	digits, sign := strconv.FormatInt(amount, 10), ""
	if amount < 0 {
		digits, sign = digits[1:], "-"
	}
	for len(digits) <= n {
		digits = "0" + digits
	}
	return sign + digits[:len(digits)-n] + "." + digits[len(digits)-n:] + " " + currency
}
