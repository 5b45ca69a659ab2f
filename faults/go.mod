module github.com/orderlog/orderlog/faults

go 1.26.0

require github.com/orderlog/orderlog v0.0.0

replace github.com/orderlog/orderlog => ../
