/* SPDX-License-Identifier: MIT */
/* The handlers of rest/route.c.  Each answers by exactly one sck_reply_*(). */
#ifndef SCK_REST_HANDLERS_H
#define SCK_REST_HANDLERS_H

struct sck_request;

void sck_handle_generate_key(struct sck_request *req);
void sck_handle_encrypt(struct sck_request *req);
void sck_handle_decrypt(struct sck_request *req);
void sck_handle_health(struct sck_request *req);
void sck_handle_live(struct sck_request *req);
void sck_handle_ready(struct sck_request *req);
void sck_handle_metrics(struct sck_request *req);

#endif
