BEGIN TRANSACTION;
CREATE TABLE adapters (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name VARCHAR(127) NOT NULL, 
	base_id INTEGER NOT NULL, 
	next_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, keep_last INTEGER, keep_days INTEGER, 
	CONSTRAINT fk_adapters_base_id FOREIGN KEY(base_id) REFERENCES bases (id), 
	CONSTRAINT uq_adapters_name UNIQUE (name)
);
INSERT INTO "adapters" VALUES(1,'support',1,4,'2026-05-25 01:01:02.317281',NULL,NULL);
INSERT INTO "adapters" VALUES(2,'acme/orders',2,3,'2026-05-25 01:01:02.360655',NULL,NULL);
INSERT INTO "adapters" VALUES(3,'gone',1,2,'2026-05-25 01:01:02.369883',NULL,NULL);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE aliases (
	adapter_id INTEGER NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	version_id INTEGER NOT NULL, 
	event_id INTEGER NOT NULL, 
	CONSTRAINT pk_aliases PRIMARY KEY (adapter_id, name), 
	CONSTRAINT fk_aliases_adapter_id FOREIGN KEY(adapter_id) REFERENCES adapters (id), 
	CONSTRAINT fk_aliases_event_id FOREIGN KEY(event_id) REFERENCES events (id), 
	CONSTRAINT fk_aliases_version_id FOREIGN KEY(version_id) REFERENCES versions (id)
);
INSERT INTO "aliases" VALUES(1,'default',1,4);
INSERT INTO "aliases" VALUES(2,'default',4,7);
INSERT INTO "aliases" VALUES(3,'default',5,9);
INSERT INTO "aliases" VALUES(1,'prod',2,11);
INSERT INTO "aliases" VALUES(1,'canary',2,13);
CREATE TABLE base_ids (
	id INTEGER NOT NULL, 
	base_id INTEGER NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	value VARCHAR(4096) NOT NULL, 
	revision VARCHAR(255), 
	CONSTRAINT pk_base_ids PRIMARY KEY (id), 
	CONSTRAINT fk_base_ids_base_id FOREIGN KEY(base_id) REFERENCES bases (id)
);
INSERT INTO "base_ids" VALUES(1,1,'path','/home/ann/base',NULL);
INSERT INTO "base_ids" VALUES(2,2,'path','/home/ann/other',NULL);
CREATE TABLE bases (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name VARCHAR(127) NOT NULL, 
	fingerprint VARCHAR(71) NOT NULL, 
	architecture VARCHAR(255) NOT NULL, 
	vocabulary VARCHAR(71), 
	vocab_size INTEGER NOT NULL, 
	parameters BIGINT NOT NULL, 
	modules JSON NOT NULL, 
	created_at DATETIME NOT NULL, original_id INTEGER, relation VARCHAR(32), 
	CONSTRAINT uq_bases_fingerprint UNIQUE (fingerprint), 
	CONSTRAINT uq_bases_name UNIQUE (name)
);
INSERT INTO "bases" VALUES(1,'tiny','sha256:c83e12c625651fe8c350c86ea64221696e899242c42e0da3742b6c3d66e432f8','LlamaForCausalLM','sha256:1a66a884729999100ff0969dbe2b03f194139ea6549033904862fc7076f0dd10',64,5712,'{"model.embed_tokens": [64, 16], "model.layers.0.mlp.down_proj": [16, 32], "model.layers.0.mlp.gate_proj": [32, 16], "model.layers.0.mlp.up_proj": [32, 16], "model.layers.0.self_attn.k_proj": [8, 16], "model.layers.0.self_attn.o_proj": [16, 16], "model.layers.0.self_attn.q_proj": [16, 16], "model.layers.0.self_attn.v_proj": [8, 16], "model.layers.1.mlp.down_proj": [16, 32], "model.layers.1.mlp.gate_proj": [32, 16], "model.layers.1.mlp.up_proj": [32, 16], "model.layers.1.self_attn.k_proj": [8, 16], "model.layers.1.self_attn.o_proj": [16, 16], "model.layers.1.self_attn.q_proj": [16, 16], "model.layers.1.self_attn.v_proj": [8, 16], "lm_head": [64, 16]}','2026-05-25 01:01:02.296785',NULL,NULL);
INSERT INTO "bases" VALUES(2,'tuned','sha256:fd2ead3bc83843f12cb4ebc7bd18cb4abebdac8fafe0a80d8f085bd5b9a0e917','LlamaForCausalLM','sha256:1a66a884729999100ff0969dbe2b03f194139ea6549033904862fc7076f0dd10',64,5712,'{"model.embed_tokens": [64, 16], "model.layers.0.mlp.down_proj": [16, 32], "model.layers.0.mlp.gate_proj": [32, 16], "model.layers.0.mlp.up_proj": [32, 16], "model.layers.0.self_attn.k_proj": [8, 16], "model.layers.0.self_attn.o_proj": [16, 16], "model.layers.0.self_attn.q_proj": [16, 16], "model.layers.0.self_attn.v_proj": [8, 16], "model.layers.1.mlp.down_proj": [16, 32], "model.layers.1.mlp.gate_proj": [32, 16], "model.layers.1.mlp.up_proj": [32, 16], "model.layers.1.self_attn.k_proj": [8, 16], "model.layers.1.self_attn.o_proj": [16, 16], "model.layers.1.self_attn.q_proj": [16, 16], "model.layers.1.self_attn.v_proj": [8, 16], "lm_head": [64, 16]}','2026-05-25 01:01:02.306182',NULL,NULL);
CREATE TABLE events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR(255) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	adapter VARCHAR(127), 
	version INTEGER, 
	detail JSON NOT NULL
);
INSERT INTO "events" VALUES(1,'2026-05-25 01:01:02.296785','unknown','base_added',NULL,NULL,'{"base": "tiny", "fingerprint": "sha256:c83e12c625651fe8c350c86ea64221696e899242c42e0da3742b6c3d66e432f8"}');
INSERT INTO "events" VALUES(2,'2026-05-25 01:01:02.306182','unknown','base_added',NULL,NULL,'{"base": "tuned", "fingerprint": "sha256:fd2ead3bc83843f12cb4ebc7bd18cb4abebdac8fafe0a80d8f085bd5b9a0e917"}');
INSERT INTO "events" VALUES(3,'2026-05-25 01:01:02.319674','ann@workstation','published','support',1,'{"digest": "sha256:82059b8848d9de5add796914d126bb754f0c9a912dc8ec009c3d911f9da29c5d", "rank": 4}');
INSERT INTO "events" VALUES(4,'2026-05-25 01:01:02.322053','ann@workstation','alias_moved','support',1,'{"alias": "default", "previous": null, "reason": "first published version", "forced": false}');
INSERT INTO "events" VALUES(5,'2026-05-25 01:01:02.337390','ann@workstation','published','support',2,'{"digest": "sha256:d8cd3e3faa23484cd441e67b587944aa9173b2512d59e9220f02ede6c3014b37", "rank": 16}');
INSERT INTO "events" VALUES(6,'2026-05-25 01:01:02.361287','ann@workstation','published','acme/orders',1,'{"digest": "sha256:804152fe5657140d0ca89cf021a341f62de0a25f6489648516c35a69e4d782fa", "rank": 4}');
INSERT INTO "events" VALUES(7,'2026-05-25 01:01:02.361888','ann@workstation','alias_moved','acme/orders',1,'{"alias": "default", "previous": null, "reason": "first published version", "forced": false}');
INSERT INTO "events" VALUES(8,'2026-05-25 01:01:02.370349','ann@workstation','published','gone',1,'{"digest": "sha256:418d4dc02a4703d96808e11863415b31bb692b4bef704e7c4cbcbab9bbd91098", "rank": 4}');
INSERT INTO "events" VALUES(9,'2026-05-25 01:01:02.370953','ann@workstation','alias_moved','gone',1,'{"alias": "default", "previous": null, "reason": "first published version", "forced": false}');
INSERT INTO "events" VALUES(10,'2026-05-25 01:01:02.377399','ann@workstation','alias_moved','support',1,'{"alias": "prod", "previous": null, "reason": "first good one", "forced": false}');
INSERT INTO "events" VALUES(11,'2026-05-25 01:01:02.387279','ann@workstation','alias_moved','support',2,'{"alias": "prod", "previous": 1, "reason": "lower loss", "forced": false}');
INSERT INTO "events" VALUES(12,'2026-05-25 01:01:02.393155','ann@workstation','alias_moved','support',3,'{"alias": "canary", "previous": null, "reason": null, "forced": false}');
INSERT INTO "events" VALUES(13,'2026-05-25 00:01:02.401147','ann@workstation','alias_moved','support',2,'{"alias": "canary", "previous": 3, "reason": null, "forced": false}');
INSERT INTO "events" VALUES(14,'2026-11-25 02:43:10.593554','ann@workstation','metrics_added','support',2,'{"metrics": ["eval_loss"]}');
INSERT INTO "events" VALUES(15,'2026-11-25 02:43:10.598517','ann@workstation','metrics_added','support',2,'{"metrics": ["eval_loss"]}');
INSERT INTO "events" VALUES(16,'2026-11-25 02:43:10.602473','ann@workstation','metrics_added','support',1,'{"metrics": []}');
INSERT INTO "events" VALUES(17,'2026-11-25 02:43:10.606874','ann@workstation','described','acme/orders',1,'{"tags": {"stage": "trial"}, "without": [], "description": "Gr\u00f6\u00dfe of the BOX, 100%"}');
CREATE TABLE finished (
	version_id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	split VARCHAR(32) NOT NULL, 
	value DOUBLE NOT NULL, 
	dataset VARCHAR(71), 
	higher_is_better BOOLEAN NOT NULL, 
	CONSTRAINT pk_finished PRIMARY KEY (version_id, name, split), 
	CONSTRAINT fk_finished_version_id FOREIGN KEY(version_id) REFERENCES versions (id)
)
 WITHOUT ROWID

;
INSERT INTO "finished" VALUES(1,'loss','validation',0.5,NULL,0);
INSERT INTO "finished" VALUES(2,'loss','validation',0.6,NULL,0);
CREATE TABLE leases (
	version_id INTEGER NOT NULL, 
	holder VARCHAR(255) NOT NULL, 
	until DATETIME NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (version_id, holder), 
	CONSTRAINT fk_leases_version_id FOREIGN KEY(version_id) REFERENCES versions (id)
);
CREATE TABLE metrics (
	id INTEGER NOT NULL, 
	version_id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	split VARCHAR(32) NOT NULL, 
	step INTEGER, 
	value DOUBLE NOT NULL, 
	dataset VARCHAR(71), 
	higher_is_better BOOLEAN NOT NULL, 
	CONSTRAINT pk_metrics PRIMARY KEY (id), 
	CONSTRAINT fk_metrics_version_id FOREIGN KEY(version_id) REFERENCES versions (id)
);
INSERT INTO "metrics" VALUES(1,1,'loss','validation',NULL,0.5,NULL,0);
INSERT INTO "metrics" VALUES(2,1,'loss','validation',10,0.9,NULL,0);
INSERT INTO "metrics" VALUES(3,2,'loss','validation',NULL,0.4,NULL,0);
INSERT INTO "metrics" VALUES(4,2,'loss','validation',NULL,0.7,NULL,0);
INSERT INTO "metrics" VALUES(5,2,'loss','validation',NULL,0.6,NULL,0);
INSERT INTO "metrics" VALUES(6,2,'loss','validation',5,2.0,NULL,0);
CREATE TABLE parents (
	child_id INTEGER NOT NULL, 
	parent_id INTEGER NOT NULL, 
	relation VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_parents PRIMARY KEY (child_id, parent_id), 
	CONSTRAINT fk_parents_child_id FOREIGN KEY(child_id) REFERENCES versions (id), 
	CONSTRAINT fk_parents_parent_id FOREIGN KEY(parent_id) REFERENCES versions (id)
);
CREATE TABLE tags (
	version_id INTEGER NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value VARCHAR NOT NULL, 
	CONSTRAINT pk_tags PRIMARY KEY (version_id, "key"), 
	CONSTRAINT fk_tags_version_id FOREIGN KEY(version_id) REFERENCES versions (id)
);
INSERT INTO "tags" VALUES(1,'team','blue');
INSERT INTO "tags" VALUES(1,'odd key','ünï → "x"');
INSERT INTO "tags" VALUES(2,'team','red');
INSERT INTO "tags" VALUES(4,'stage','trial');
CREATE TABLE texts (
	version_id INTEGER NOT NULL, 
	words VARCHAR NOT NULL, 
	CONSTRAINT pk_texts PRIMARY KEY (version_id), 
	CONSTRAINT fk_texts_version_id FOREIGN KEY(version_id) REFERENCES versions (id)
);
INSERT INTO "texts" VALUES(1,'supportthe firstünï → "x"blue');
INSERT INTO "texts" VALUES(2,'supportred');
INSERT INTO "texts" VALUES(4,'acme/ordersgrösse of the box, 100%trial');
INSERT INTO "texts" VALUES(5,'gone');
CREATE TABLE versions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	adapter_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	digest VARCHAR(71) NOT NULL, 
	rank INTEGER NOT NULL, 
	alpha DOUBLE NOT NULL, 
	rslora BOOLEAN NOT NULL, 
	target_modules JSON NOT NULL, 
	dtype VARCHAR(32) NOT NULL, 
	parameters BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	description VARCHAR, 
	provenance JSON, 
	files JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by VARCHAR(255) NOT NULL, state_reason VARCHAR, 
	CONSTRAINT fk_versions_adapter_id FOREIGN KEY(adapter_id) REFERENCES adapters (id), 
	CONSTRAINT uq_versions_adapter_id_digest UNIQUE (adapter_id, digest), 
	CONSTRAINT uq_versions_adapter_id_number UNIQUE (adapter_id, number)
);
INSERT INTO "versions" VALUES(1,1,1,'sha256:82059b8848d9de5add796914d126bb754f0c9a912dc8ec009c3d911f9da29c5d',4,8.0,0,'["q_proj", "v_proj"]','f32',448,2803,'ready','the first','{"recipe": {"rank": 4, "learning_rate": 0.001}, "datasets": [{"split": "train", "name": "orders", "rows": 10, "digest": "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}], "seed": 7, "versions": {"peft": "0.21.2"}, "hardware": "cpu", "wall_seconds": 1.5, "source": null}','[{"name": "adapter_config.json", "digest": "sha256:3a15a6353194b689aeb9231f0c9cab0e922a22654f36eeabc9065a224b2c2bdb", "bytes": 853}, {"name": "adapter_model.safetensors", "digest": "sha256:5697d4fb4385da2e59d8ac58d4f03d2fe3ab1da98891d29f04f6d21503cb966e", "bytes": 2803}]','2026-05-25 01:01:02.319674','ann@workstation',NULL);
INSERT INTO "versions" VALUES(2,1,2,'sha256:d8cd3e3faa23484cd441e67b587944aa9173b2512d59e9220f02ede6c3014b37',16,32.0,0,'["q_proj", "v_proj"]','f32',1792,8195,'ready',NULL,NULL,'[{"name": "adapter_config.json", "digest": "sha256:e45126a493dab172444995cb90fddcd4cc3e7ee3925623cea63166db8cbac7b1", "bytes": 855}, {"name": "adapter_model.safetensors", "digest": "sha256:679aa9b99a0c967b194ea7ed5e6f3a136d7551847f353bc0c942c59872093507", "bytes": 8195}]','2026-05-25 01:01:02.337390','ann@workstation',NULL);
INSERT INTO "versions" VALUES(4,2,1,'sha256:804152fe5657140d0ca89cf021a341f62de0a25f6489648516c35a69e4d782fa',4,8.0,0,'["q_proj", "v_proj"]','f32',448,2803,'ready','Größe of the BOX, 100%',NULL,'[{"name": "adapter_config.json", "digest": "sha256:3a15a6353194b689aeb9231f0c9cab0e922a22654f36eeabc9065a224b2c2bdb", "bytes": 853}, {"name": "adapter_model.safetensors", "digest": "sha256:a197aa4b485820f823fa2ab13859486a48c2a34af2fe551675b14c44446a9199", "bytes": 2803}]','2026-05-25 01:01:02.361287','ann@workstation',NULL);
INSERT INTO "versions" VALUES(5,3,1,'sha256:418d4dc02a4703d96808e11863415b31bb692b4bef704e7c4cbcbab9bbd91098',4,8.0,0,'["q_proj", "v_proj"]','f32',448,2803,'ready',NULL,NULL,'[{"name": "adapter_config.json", "digest": "sha256:3a15a6353194b689aeb9231f0c9cab0e922a22654f36eeabc9065a224b2c2bdb", "bytes": 853}, {"name": "adapter_model.safetensors", "digest": "sha256:d52beeeeef1a1b93870c055d3dcd74b2f8c3eada83f828e1c999d82b67c9b83c", "bytes": 2803}]','2026-05-25 01:01:02.370349','ann@workstation',NULL);
CREATE INDEX ix_base_ids_base_id ON base_ids (base_id);
CREATE INDEX ix_metrics_version ON metrics (version_id);
CREATE INDEX ix_events_adapter ON events (adapter, kind, id);
CREATE INDEX ix_tags_key ON tags ("key", value, version_id);
CREATE INDEX ix_parents_parent_id ON parents (parent_id);
CREATE INDEX ix_adapters_base_id ON adapters (base_id);
CREATE INDEX ix_versions_rank ON versions (rank, id);
CREATE INDEX ix_versions_state ON versions (state, id);
CREATE INDEX ix_versions_created_at ON versions (created_at, id);
CREATE INDEX ix_aliases_version_id ON aliases (version_id);
CREATE INDEX ix_finished_value ON finished (name, split, value, version_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('bases',2);
INSERT INTO "sqlite_sequence" VALUES('adapters',3);
INSERT INTO "sqlite_sequence" VALUES('versions',6);
INSERT INTO "sqlite_sequence" VALUES('events',17);
CREATE VIRTUAL TABLE text_index USING fts5(words, content='texts', content_rowid='version_id', columnsize=0, tokenize='trigram case_sensitive 1');
CREATE TRIGGER texts_added AFTER INSERT ON texts BEGIN INSERT INTO text_index (rowid, words) VALUES (new.version_id, new.words); END;
CREATE TRIGGER texts_removed AFTER DELETE ON texts BEGIN INSERT INTO text_index (text_index, rowid, words) VALUES ('delete', old.version_id, old.words); END;
CREATE VIRTUAL TABLE text_trigrams USING fts5vocab('text_index', 'instance');
INSERT INTO text_index (text_index) VALUES ('rebuild');
COMMIT;
