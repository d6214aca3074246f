// An OpenID provider for tests: whoever names themselves is who they say. Clients register themselves (RFC 7591).
//
// GET /_ctl/ready; PUT /_ctl/people {"name": {"email": …, "email_verified": …}}; POST /_ctl/rotate makes new keys.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const { port, secret } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `http://127.0.0.1:${port}`;
const people = {};
const kept = new Map();

/** What the provider keeps; it outlives a change of keys. */
class Adapter {
  constructor(kind) {
    this.kind = kind;
  }

  key(id) {
    return `${this.kind}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    kept.set(this.key(id), { payload, until: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
  }

  async find(id) {
    const found = kept.get(this.key(id));
    return found && found.until > Date.now() ? found.payload : undefined;
  }

  async findBy(name, value) {
    for (const [key, { payload }] of kept) {
      if (key.startsWith(`${this.kind}:`) && payload[name] === value) return payload;
    }
    return undefined;
  }

  async findByUid(uid) {
    return this.findBy('uid', uid);
  }

  async findByUserCode(code) {
    return this.findBy('userCode', code);
  }

  async consume(id) {
    const found = kept.get(this.key(id));
    if (found) found.payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    kept.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of kept) {
      if (payload.grantId === grantId) kept.delete(key);
    }
  }
}

function makeKeys() {
  const pair = (kind, options, alg) => ({
    ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: randomUUID(),
  });
  return { keys: [pair('rsa', { modulusLength: 2048 }, 'RS256'), pair('ec', { namedCurve: 'P-256' }, 'ES256')] };
}

function makeProvider() {
  return new Provider(issuer, {
    adapter: Adapter,
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    cookies: { keys: [secret] },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: id, ...(people[id] ?? { email: `${id}@camelot.bt`, email_verified: true }) }),
    }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    jwks: makeKeys(),
    pkce: { required: () => true },
    ttl: { Interaction: 600, Session: 3600, Grant: 3600, AccessToken: 3600, IdToken: 300, AuthorizationCode: 60 },
  });
}

let provider = makeProvider();

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

function page(response, title, form) {
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${form}`);
}

async function interaction(request, response, uid, step) {
  const details = await provider.interactionDetails(request, response);
  const finish = (result, options) => provider.interactionFinished(request, response, result, options);
  if (request.method === 'GET') {
    const at = `/interaction/${uid}`;
    const cancel = `<form method="post" action="${at}/abort"><button id="cancel">Cancel</button></form>`;
    if (details.prompt.name === 'login') {
      const field = '<label>Name <input name="name" id="name" autofocus></label>';
      return page(response, 'Sign in', `<form method="post" action="${at}/login">${field}<button id="go">Sign in</button></form>${cancel}`);
    }
    return page(response, 'Allow', `<form method="post" action="${at}/consent"><button id="go">Allow</button></form>${cancel}`);
  }
  const form = new URLSearchParams(await body(request));
  if (step === 'login') {
    return finish({ login: { accountId: form.get('name') } }, { mergeWithLastSubmission: false });
  }
  if (step === 'consent') {
    const { params, prompt, session, grantId } = details;
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
    if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims);
    return finish({ consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  }
  return finish({ error: 'access_denied', error_description: 'somebody said no' }, { mergeWithLastSubmission: false });
}

async function control(request, response, what) {
  if (what === 'people' && request.method === 'PUT') Object.assign(people, JSON.parse(await body(request)));
  else if (what === 'rotate' && request.method === 'POST') provider = makeProvider();
  else if (what !== 'ready') response.statusCode = 404;
  response.end();
}

createServer(async (request, response) => {
  const [, place, uid, step] = request.url.split('?')[0].split('/');
  try {
    if (place === '_ctl') await control(request, response, uid);
    else if (place === 'interaction') await interaction(request, response, uid, step);
    else await provider.callback()(request, response);
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    response.end();
  }
}).listen(port, '127.0.0.1');
