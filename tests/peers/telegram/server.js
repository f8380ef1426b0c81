// telegram-test-api on 127.0.0.1, with what a real Bot API does and it does not: long polling by
// offset, ids from the token, 401 for a bad token, answers where it says null. Besides, it keeps a
// record of the bot's calls and lets a test send any update or make any method fail.
const express = require('express');
const TelegramServer = require('telegram-test-api');

const MISSING = ['sendChatAction', 'setMyCommands']; // the peer answers HTTP 500 to these
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const peer = new TelegramServer();
const bots = new Map();
const botOf = (token) => {
  if (!bots.has(token)) bots.set(token, { calls: [], failures: {}, members: {}, pending: [], polls: 0 });
  return bots.get(token);
};

function parsed(value) {
  try { return JSON.parse(value); } catch { return value; }
}

function mended(method, token, body, data) {
  if (method === 'getMe') Object.assign(data.result, { is_bot: true, id: Number(token.split(':')[0]) });
  if (method === 'sendMessage') {
    data.result.date = Math.floor(data.result.date / 1000);
    data.result.chat.type = Number(body.chat_id) < 0 ? 'supergroup' : 'private';
  }
  return { ...data, result: data.result ?? true };
}

async function updates(bot, token, { offset = 0, timeout = 0 }, res) {
  const until = Date.now() + timeout * 1000;
  bot.polls += 1;
  for (;;) {
    bot.pending.push(...peer.getUpdates(token));
    bot.pending = bot.pending.filter((one) => one.update_id >= Number(offset));
    for (const { callback_query: query } of bot.pending) if (query) query.chat_instance ??= '1';
    if (bot.pending.length || res.destroyed || Date.now() >= until) return bot.pending;
    await pause(10);
  }
}

const app = express();
app.use(express.json(), express.urlencoded({ extended: true }));
app.all('/bot:token/:method', async (req, res, next) => {
  const { token, method } = req.params;
  if (!/^\d+:/.test(token)) return res.status(401).json({ ok: false, error_code: 401, description: 'Unauthorized' });
  const bot = botOf(token);
  for (const [key, value] of Object.entries(req.body)) if (/^[[{]/.test(value) && key !== 'text') req.body[key] = parsed(value);
  if (method !== 'getUpdates') bot.calls.push({ method, body: { ...req.body } });
  const failure = bot.failures[method]?.shift();
  if (failure?.drop) return req.socket.destroy();
  if (failure?.date) res.set('Date', failure.date);
  else if (failure?.delay) await pause(failure.delay);
  else if (failure) return failure.untouched ? next() : res.status(failure.error_code).json({ ok: false, ...failure });
  if (method === 'getUpdates') return res.json({ ok: true, result: await updates(bot, token, req.body, res) });
  if (method === 'getChatMember') return res.json({ ok: true, result: bot.members[`${req.body.chat_id}:${req.body.user_id}`] });
  if (MISSING.includes(method)) return res.json({ ok: true, result: true });
  const json = res.json.bind(res);
  res.json = (data) => json(mended(method, token, req.body, data));
  return next();
});
app.post('/control/update', (req, res) => {
  botOf(req.body.token).pending.push({ ...req.body.update, update_id: peer.updateId++ });
  res.json({ ok: true });
});
app.post('/control/fail', (req, res) => {
  botOf(req.body.token).failures[req.body.method] = req.body.failures;
  res.json({ ok: true });
});
app.post('/control/member', (req, res) => {
  const { chat, member } = req.body;
  botOf(req.body.token).members[`${chat}:${member.user.id}`] = member;
  res.json({ ok: true });
});
app.post('/control/record', (req, res) => res.json(botOf(req.body.token)));
app.use(peer.webServer);

const listening = app.listen(0, '127.0.0.1', () => console.log(listening.address().port));
process.stdin.on('end', () => process.exit()).resume(); // the tests are gone, however they ended
