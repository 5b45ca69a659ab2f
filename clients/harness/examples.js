// The examples of docs/migration.md, as they are printed there.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const PAGE = fileURLToPath(new URL('../../docs/migration.md', import.meta.url));
const MODULES = fileURLToPath(new URL('../node_modules/', import.meta.url));
const SERVER = 'http://localhost:5000';

/** Example is a module from the page in a folder of its own, which speaks to another server. modules are those it imports
 * beside the installed ones, by name: their source. client is the package that it gets as socket.io-client. */
export class Example {
  constructor(name, server, modules = {}, client = 'socket.io-client') {
    this.dir = mkdtempSync(path.join(MODULES, '.example-'));
    this.file = path.join(this.dir, 'example.mjs');
    this.url = pathToFileURL(this.file).href;
    writeFileSync(this.file, printed(name).replaceAll(SERVER, server).replaceAll('"socket.io-client"', `"${client}"`));
    for (const [module, source] of Object.entries(modules)) {
      const place = path.join(this.dir, 'node_modules', module);
      mkdirSync(place, { recursive: true });
      writeFileSync(path.join(place, 'package.json'), JSON.stringify({ name: module, type: 'module', exports: './index.js' }));
      writeFileSync(path.join(place, 'index.js'), source);
    }
  }

  load = () => import(this.url);

  end = () => rmSync(this.dir, { recursive: true, force: true });
}

function printed(name) {
  const page = readFileSync(PAGE, 'utf8');
  const [, code] = page.match(new RegExp(`<!-- example: ${name} -->\n\`\`\`js\n([^]*?)\n\`\`\``)) ?? [];
  if (!code) throw new Error(`${PAGE} has no example ${name}`);
  return code;
}
