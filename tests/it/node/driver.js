'use strict';
// node-postgres through the proxy. Each argument names a check; exit code 0 when it holds.
const assert = require('node:assert');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { Client, Pool } = require('pg');
const copy = require('pg-copy-streams');

const config = {
  host: '127.0.0.1', port: +process.env.PGPORT, user: 'app', database: 'app',
  password: process.env.PGPASSWORD, connectionTimeoutMillis: 5000,
};

async function withClient(work, more = {}) {
  const client = new Client({ ...config, ...more });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const checks = {
  // Parameters and types by the unnamed statement.
  async basics() {
    await withClient(async (c) => {
      const r = await c.query('select $1::int as n, $2::text as t, $3::jsonb as j', [7, 'hé', { a: 1 }]);
      assert.deepStrictEqual(r.rows, [{ n: 7, t: 'hé', j: { a: 1 } }]);
      await assert.rejects(c.query('select 1/0'), { code: '22012' });
      assert.strictEqual((await c.query('select 1 as x')).rows[0].x, 1);
      const many = await c.query('select 1 as a; select 2 as b');
      assert.deepStrictEqual(many.map((x) => x.rows[0]), [{ a: 1 }, { b: 2 }]);
    });
  },

  // Named statements of many pool clients over few servers.
  async named() {
    const pool = new Pool({ ...config, max: 12 });
    const jobs = [];
    for (let i = 0; i < 300; i++) {
      const name = `sum-${i % 5}`;
      jobs.push(pool.query({ name, text: `select $1::int + ${i % 5} as s`, values: [i] })
        .then((r) => assert.strictEqual(r.rows[0].s, i + (i % 5))));
    }
    await Promise.all(jobs);
    await pool.end();
  },

  // Transactions of a pool: transfers keep the sum.
  async transactions() {
    const pool = new Pool({ ...config, max: 10 });
    await pool.query('drop table if exists node_accounts');
    await pool.query('create table node_accounts as select g as id, 100 as v from generate_series(1,10) g');
    await Promise.all(Array.from({ length: 60 }, async (_, i) => {
      const c = await pool.connect();
      try {
        await c.query('begin');
        await c.query('select 1 from node_accounts where id in ($1, $2) order by id for update',
          [1 + (i % 10), 1 + ((i + 3) % 10)]);
        await c.query('update node_accounts set v = v - 1 where id = $1', [1 + (i % 10)]);
        await c.query('update node_accounts set v = v + 1 where id = $1', [1 + ((i + 3) % 10)]);
        await c.query(i % 4 === 0 ? 'rollback' : 'commit');
      } finally {
        c.release();
      }
    }));
    const r = await pool.query('select sum(v)::int as s from node_accounts');
    assert.strictEqual(r.rows[0].s, 1000);
    await pool.end();
  },

  // A CancelRequest of node-postgres, while the query runs.
  async cancel() {
    await withClient(async (c) => {
      const started = Date.now();
      const query = new (require('pg').Query)('select pg_sleep(15)');
      const ended = new Promise((resolve, reject) => {
        query.once('error', resolve);
        query.once('end', () => reject(new Error('it was not cancelled')));
      });
      c.query(query);
      await new Promise((r) => setTimeout(r, 300));
      const other = new Client(config);
      other.cancel(c, query);
      assert.strictEqual((await ended).code, '57014');
      assert.ok(Date.now() - started < 5000);
      assert.strictEqual((await c.query('select 1 as x')).rows[0].x, 1);
    });
  },

  // COPY both ways by pg-copy-streams.
  async copy() {
    await withClient(async (c) => {
      await c.query('drop table if exists node_copy');
      await c.query('create table node_copy (id int, body text)');
      function* lines() {
        for (let i = 0; i < 50000; i++) yield `${i}\t${'x'.repeat(50)}\n`;
      }
      await pipeline(Readable.from(lines()), c.query(copy.from('copy node_copy from stdin')));
      let bytes = 0;
      const out = c.query(copy.to('copy node_copy to stdout'));
      for await (const chunk of out) bytes += chunk.length;
      assert.ok(bytes > 50000 * 52);
      const r = await c.query('select count(*)::int as n from node_copy');
      assert.strictEqual(r.rows[0].n, 50000);
      const bad = pipeline(Readable.from(['1\tok\n', 'nonsense\n']),
        c.query(copy.from('copy node_copy from stdin')));
      await assert.rejects(bad, { code: '22P02' });
      assert.strictEqual((await c.query('select 2 as x')).rows[0].x, 2);
    });
  },

  // The error of a refused login carries a code a driver understands.
  async wrongPassword() {
    const client = new Client({ ...config, password: 'wrong' });
    await assert.rejects(client.connect(), { code: '28P01' });
  },

  // Startup parameters that drivers send: statement_timeout and friends.
  async startupParameters() {
    await withClient(async (c) => {
      assert.strictEqual((await c.query('show statement_timeout')).rows[0].statement_timeout, '3s');
      await assert.rejects(c.query('select pg_sleep(10)'), { code: '57014' });
    }, { statement_timeout: 3000, application_name: 'node' });
    await withClient(async (c) => {
      assert.strictEqual((await c.query('show statement_timeout')).rows[0].statement_timeout, '0');
    });
  },
};

checks[process.argv[2]]().catch((e) => {
  console.error(e);
  process.exitCode = 1;
});
