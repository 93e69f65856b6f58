-- oldest_program: 1
-- Encrypted payloads: a cluster may have a private RSA key, which its nodes open payloads with. Nodes of an
-- earlier version do not, so that such a cluster needs nodes of this one.

-- key_number rises with each change of the key, so that nodes know when theirs is old.
ALTER TABLE cluster
	ADD COLUMN IF NOT EXISTS decryption_key VARBINARY(20000) NULL,      -- PEM, sealed as registry logins are
	ADD COLUMN IF NOT EXISTS public_key VARCHAR(4000) NOT NULL DEFAULT '', -- its public half, PEM
	ADD COLUMN IF NOT EXISTS key_number INT NOT NULL DEFAULT 0
;;
