#include "trace/trace-hw_appsheath.h"
