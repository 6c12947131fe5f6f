-- How many decimals money has with the transaction's lc_monetary.
SELECT scale(1::money::numeric)::int AS digits
