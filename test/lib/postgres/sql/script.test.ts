import {expect} from 'chai'
import {withoutParts} from '../../../../src/lib/postgres/sql/cut.ts'
import {databaseText, statementsOf} from '../../../../src/lib/postgres/sql/database.ts'
import {statementAt} from '../../../../src/lib/postgres/sql/find-line.ts'
import {noRoles, noteRoles} from '../../../../src/lib/postgres/sql/names.ts'
import {ScriptScan, shownText, type ScriptFacts} from '../../../../src/lib/postgres/sql/script.ts'

function scan(sql: string): ScriptFacts {
  const script = new ScriptScan()
  script.add(Buffer.from(sql))
  return script.end()
}

const rulesOf = (sql: string): string[] => scan(sql).cuts.map(({rule, line}) => `${line} ${rule}`)
const refusedIn = (sql: string): [number, string][] => scan(sql).refused.map(({line, why}) => [line, why])

describe('what a script may not do', () => {
  const refused: [string, RegExp][] = [
    [String.raw`\! rm -rf /`, /runs a program on this machine/],
    [String.raw`SELECT 1 \g |cat`, /run a program/],
    [String.raw`\o |cat`, /run a program/],
    [String.raw`\w |cat`, /run a program/],
    [String.raw`\copy t from program 'id'`, /runs a program/],
    [String.raw`\i other.sql`, /another file/],
    [String.raw`\ir other.sql`, /another file/],
    ["SELECT 'DROP TABLE t' \\gexec", /what a query returns/],
    [String.raw`\c other`, /connects elsewhere/],
    [String.raw`\connect other`, /connects elsewhere/],
    [String.raw`\connect "dbname=other host=elsewhere"`, /connects elsewhere/],
    [String.raw`\connect -reuse-previous=on "dbname='crm' host='elsewhere'"`, /connects elsewhere/],
    ['\\set x `id`', /what psql does/],
    ['\\echo `id`', /no commands of psql/],
    [String.raw`\echo a \! id`, /no commands of psql/],
    [String.raw`\unknown`, /no commands of psql/],
    [String.raw`\.`, /rows that were not begun/],
    [`COPY t FROM PROGRAM 'curl x';`, /runs a program on the server/],
    [`COPY (SELECT 1) TO PROGRAM $$cat$$;`, /runs a program on the server/],
    [`copy t (a, "b") from '/etc/passwd';`, /a file of the server/],
    [`COPY t TO '/tmp/x';`, /a file of the server/],
    [`COPY t FROM stdin WITH (FORMAT binary);\nx\n\\.`, /binary/],
    [`COPY t FROM stdin; \\! id\n1\n\\.`, /behind it on its line/],
    ['CREATE DATABASE other;', /makes or drops a database/],
    ['DROP DATABASE IF EXISTS crm;', /makes or drops a database/],
    ["ALTER SYSTEM SET archive_command = 'id';", /settings of the whole server/],
    ['CREATE ROLE x SUPERUSER;', /roles of the whole server/],
    ['ALTER USER postgres PASSWORD $$x$$;', /roles of the whole server/],
    ['DROP GROUP x;', /roles of the whole server/],
    ['GRANT admin TO app;', /roles of the whole server/],
    ['REVOKE admin FROM app;', /roles of the whole server/],
    ["CREATE TABLESPACE t LOCATION '/x';", /tablespaces/],
    [`CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p;`, /another server/],
    ['SET client_encoding = SJIS;', /convert it to UTF-8/],
    ["SET client_encoding TO 'GB18030';", /convert it to UTF-8/],
    ["SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);", /how text is read/],
    ['RESET ALL;', /how text is read/],
    ['INSERT INTO `leads` VALUES (1);', /MySQL/],
    ['-- \r\\! id', /runs a program/],
  ]
  for (const [sql, why] of refused) {
    it(`refuses ${JSON.stringify(sql)}, and names the line`, () => {
      const lead = '-- a comment\n\nSELECT 1;\n'
      const [first] = refusedIn(`${lead}${sql}\n`)
      expect(first?.[1]).to.match(why)
      expect(first?.[0]).to.equal(4)
    })
  }

  it('follows how strings are read', () => {
    expect(refusedIn("SET standard_conforming_strings = off;\nSELECT 'a\\';\\! id';\n")).to.deep.equal([])
    expect(refusedIn("SET standard_conforming_strings = on;\nSELECT 'a\\';\\! id\n")).to.have.length(1)
    expect(refusedIn("SET standard_conforming_strings TO 'off';\nSET standard_conforming_strings = on;\nSELECT 'a\\';\\! id\n")).to.have.length(1)
  })

  const allowed = [
    `COPY t (a) FROM stdin;\n\\! id\n\\connect x\n\\.\n`, String.raw`SELECT '\! id', $$ \! id $$;`, `CREATE TABLE "copy x from program" ("drop database" text DEFAULT 'alter system');`,
    'GRANT SELECT ON TABLE t TO app;', 'REVOKE ALL ON SCHEMA public FROM PUBLIC;', 'ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT SELECT ON TABLES TO b;',
    'CREATE USER MAPPING FOR app SERVER s;', "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = false, slot_name = 's');",
    `CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'x'; END $$;`, 'SET client_encoding = UTF8;', 'SELECT a FROM t WHERE b = 1;', `COPY (SELECT 1) TO stdout;`,
    "COMMENT ON TABLE t IS 'COPY t FROM PROGRAM';", 'ALTER TABLE t OWNER TO app;', 'SELECT pg_catalog.set_config($$search_path$$, $$$$, false);',
  ]
  for (const sql of allowed) it(`lets ${JSON.stringify(sql)} pass`, () => { expect(refusedIn(`${sql}\n`)).to.deep.equal([]) })
})

describe('what of a script is left out', () => {
  it('is the guard of newer pg_dump, and what psql would only show', () => {
    expect(rulesOf('\\restrict aB3\n\\timing on\n\\echo hello\nSELECT 1;\n\\unrestrict aB3\n')).to.deep.equal(['1 restrict', '2 display', '3 display', '5 restrict'])
  })

  it('is what pg_dump --create says of its database, and nothing that connects elsewhere', () => {
    for (const [name, connect] of [['crm', 'crm'], ['"My crm"', '"My crm"'], [`"it's"`, `-reuse-previous=on "dbname='it\\'s'"`]]) {
      const own = `DROP DATABASE IF EXISTS ${name ?? ''};\nCREATE DATABASE ${name ?? ''} WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';\nALTER DATABASE ${name ?? ''} OWNER TO app;\n\\connect ${connect ?? ''}\nCOMMENT ON DATABASE ${name ?? ''} IS 'x';\nREVOKE ALL ON DATABASE ${name ?? ''} FROM PUBLIC;\nALTER ROLE app IN DATABASE ${name ?? ''} SET x TO 'y';\nCREATE TABLE t (a int);\n`
      const facts = scan(own)
      expect(facts.refused, name).to.deep.equal([])
      expect(facts.cuts.map(({rule, line}) => `${line} ${rule}`)).to.deep.equal([1, 2, 3, 4, 5, 6, 7].map((line) => `${line} own-database`))
      expect(databaseText(facts.database?.tokens ?? [])).to.deep.equal({encoding: 'UTF8', collation: {provider: 'libc', collate: 'C', ctype: 'C'}})
      expect(scan(`${own}\\connect other\n`).refused).to.have.length(1)
    }
  })

  it('is a DROP before anything was made, and no later one', () => {
    const sql = 'SET x = 1;\nALTER TABLE ONLY public.t DROP CONSTRAINT t_pkey;\nDROP INDEX public.i;\nALTER TABLE public.t ALTER COLUMN id DROP DEFAULT;\nDROP TABLE public.t;\nDROP SCHEMA app;\nCREATE TABLE t (a int);\nDROP TABLE t;\n'
    expect(rulesOf(sql)).to.deep.equal([2, 3, 4, 5, 6].map((line) => `${line} drop-first`))
  })

  it('is CREATE SCHEMA public, unless the script has dropped it', () => {
    expect(rulesOf('CREATE SCHEMA public;\n')).to.deep.equal(['1 schema-public'])
    expect(rulesOf('DROP SCHEMA public;\nCREATE SCHEMA public;\n')).to.deep.equal([])
    expect(rulesOf('CREATE SCHEMA "Public";\n')).to.deep.equal([])
  })

  it('is what some servers or roles refuse, marked so', () => {
    expect(scan("SET transaction_timeout = 0;\nCOMMENT ON EXTENSION pgcrypto IS 'x';\nSELECT * FROM pg_catalog.pg_restore_relation_stats('a', 1);\n").cuts.map(({rule, beforeMajor, unlessSuperuser}) => [rule, beforeMajor, unlessSuperuser])).to.deep.equal([
      ['transaction-timeout', 17, undefined], ['extension-comment', undefined, true], ['statistics', 18, undefined],
    ])
  })

  it('leaves every line where it was', async () => {
    const sql = 'one\ntwo two\ntwo\nthree\n'
    for (const size of [1, 2, 5, 100]) {
      const chunks = async function* () { for (let at = 0; at < sql.length; at += size) yield Buffer.from(sql.slice(at, at + size)) }
      let out = ''
      for await (const chunk of withoutParts(chunks(), [{from: 4, to: 15}, {from: 0, to: 2}])) out += chunk.toString()
      expect(out, `pieces of ${size}`).to.equal('e\n\n\nthree\n')
    }
  })
})

describe('what a script says of itself', () => {
  it('is who made it, whether its end is there, and what follows', () => {
    const head = '--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.4 (Debian)\n-- Dumped by pg_dump version 16.1\n\nSET x = 1;\n'
    const end = '--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n'
    expect(scan(head + end)).to.include({madeBy: 'pg_dump', complete: true, more: false, serverVersion: '15.4', toolVersion: '16.1'})
    expect(scan(head)).to.include({madeBy: 'pg_dump', complete: false, more: false})
    expect(scan(`${head}${end}GRANT SELECT ON t TO x;\n`)).to.include({complete: false, more: true})
    expect(scan('SELECT 1;\n-- PostgreSQL database dump\n')).to.include({madeBy: undefined})
  })

  it('is what it needs: roles, extensions, one transaction', () => {
    const facts = scan('CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;\nCREATE TABLE t (a int);\nALTER TABLE t OWNER TO "Odd role";\nGRANT SELECT ON TABLE t TO a, GROUP b WITH GRANT OPTION;\nBEGIN;\nCOMMIT;\n')
    expect(facts.extensions).to.deep.equal(['pgcrypto'])
    expect([[...facts.roles.owners], [...facts.roles.named].sort()]).to.deep.equal([['Odd role'], ['Odd role', 'a', 'b']])
    expect(facts.notInTransaction).to.deep.equal({line: 5, text: 'BEGIN;'})
    expect(facts).to.include({tables: 1})
  })

  it('names the roles of every statement that has some', () => {
    const roles = (sql: string) => {
      const into = noRoles()
      for (const {tokens} of statementsOf(sql)) noteRoles(tokens, into)
      return [...into.named].sort()
    }
    expect(roles('CREATE SCHEMA s AUTHORIZATION x;')).to.deep.equal(['x'])
    expect(roles('CREATE POLICY p ON t FOR ALL TO a, PUBLIC, CURRENT_USER, "B c" USING (true);')).to.deep.equal(['B c', 'a'])
    expect(roles('ALTER DEFAULT PRIVILEGES FOR ROLE x IN SCHEMA s REVOKE ALL ON TABLES FROM y;')).to.deep.equal(['x', 'y'])
    expect(roles('REVOKE ALL ON FUNCTION f(a text) FROM PUBLIC;')).to.deep.equal([])
    expect(roles('ALTER TABLE t OWNER TO pg_database_owner;')).to.deep.equal([])
    expect(roles("COMMENT ON TABLE t IS 'owner to nobody';")).to.deep.equal([])
  })

  it('shows no data of an INSERT', () => {
    expect(shownText("INSERT INTO leads (a)\n  VALUES ('Alice', '+998');")).to.equal('INSERT INTO leads (a) VALUES …')
  })

  it('finds the statement of a line, and that of a row', async () => {
    const sql = 'SELECT 1;\nCREATE TABLE t (\n a int\n);\nCOPY t FROM stdin;\n1\n2\n\\.\nSELECT 2;\n'
    const at = async (line: number) => (await statementAt((async function* () { yield Buffer.from(sql) })(), line))?.text
    expect([await at(1), await at(3), await at(4), await at(7), await at(9)]).to.deep.equal(['SELECT 1;', 'CREATE TABLE t ( a int );', 'CREATE TABLE t ( a int );', 'COPY t FROM stdin;', 'SELECT 2;'])
  })
})
