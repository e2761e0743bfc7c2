-- The schema after the last revision. Generated: python -m tests.migrations.regenerate

CREATE TABLE products (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    sku text NOT NULL,
    name text NOT NULL,
    price numeric(12,2) NOT NULL,
    currency text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    description text
);

ALTER TABLE products ADD CONSTRAINT products_pkey PRIMARY KEY (id);

ALTER TABLE products ADD CONSTRAINT products_sku_key UNIQUE (sku);

ALTER TABLE products ADD CONSTRAINT products_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text));

ALTER TABLE products ADD CONSTRAINT products_price_check CHECK ((price >= (0)::numeric));

CREATE INDEX products_newest_first_idx ON products USING btree (created_at DESC, id DESC);
