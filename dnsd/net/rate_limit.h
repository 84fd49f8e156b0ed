/*
 * rate_limit: the verdicts of rrl.h carried out on a batch of answers, between answering and sending.
 *
 * An answer that slips keeps its question and its OPT record, loses everything else and gets TC, so it is no
 * larger than the request but for options; whoever really asked comes again over TCP. Errors have nothing to
 * lose and slip as they are.
 */
#ifndef DNSD_NET_RATE_LIMIT_H
#define DNSD_NET_RATE_LIMIT_H

#include <stddef.h>

#include "net/net_context.h"

/** Limit the answers of a batch by net->rrl, which must be there: resp_len becomes 0 for those that are
 * dropped. */
void rate_limit_apply(struct net_context *net, struct answer_request *batch, size_t batch_n);

#endif
