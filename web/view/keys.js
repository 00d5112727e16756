// Keys for what the page's buttons do, and the help that names them. Whoever speaks to the computer, or types where no
// field has the keyboard, may turn them off: a key alone must not do what nobody meant.
import { html, render } from "lit-html";
import { keepChoice } from "../shim/choice.js";
import { texts } from "../texts.js";

const element = (id) => document.getElementById(id);
const WITH_ALT = { KeyR: "record", KeyP: "pause", KeyS: "stop" }; // by place: with Alt some systems type other signs
const ALONE = { "?": "help", "/": "search", Escape: "cancel" };
const WRITING = "input:not([type=radio], [type=checkbox]), select, textarea";

// `choice` keeps whether they are on; Escape always is.
export function listenForKeys(choice) {
  element("help").onclick = () => showHelp(choice);
  addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
    const target = element(event.altKey ? WITH_ALT[event.code] : ALONE[event.key]);
    const isOn = choice.hasKeys || event.key === "Escape";
    if (!isOn || !target?.checkVisibility() || target.disabled || event.target.matches?.(WRITING)) return;
    event.preventDefault();
    if (target.matches("input")) target.focus();
    else target.click();
  });
}

function showHelp(choice) {
  const dialog = element("help-dialog");
  const facts = (pairs, name) => pairs.map(([of, words]) => html`<dt>${name(of)}</dt><dd>${words}</dd>`);
  render(html`
    <h3>${texts.help.pathHeading}</h3>
    <dl class="facts">${facts(texts.help.path, (step) => step)}</dl>
    <h3>${texts.help.keysHeading}</h3>
    <label class="help-on"><input type="checkbox" data-testid="keys-on" .checked=${choice.hasKeys}
      @change=${({ target }) => keepChoice(Object.assign(choice, { hasKeys: target.checked }))}> ${texts.help.keysOn}</label>
    <dl class="keys">${facts(texts.help.keys, (key) => html`<kbd>${key}</kbd>`)}</dl>`, dialog.querySelector(".help-body"));
  dialog.showModal();
}
