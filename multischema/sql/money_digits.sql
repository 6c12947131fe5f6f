-- How many decimals an amount of money has where lc_monetary is what the transaction has it be.
SELECT scale(1::money::numeric)::int AS digits
