// Returns what may be the elements with a role and a name. Which of them are, the browser says.
const [role, name, root] = arguments;
const SELECTORS = {
  alert: "[role=alert]",
  button: "button:not([role]), [role=button]",
  checkbox: "input[type=checkbox]",
  combobox: "select, input[list], [role=combobox]",
  dialog: "dialog, [role=dialog]",
  form: "form, [role=form]",
  group: "[role=group], fieldset",
  heading: "h1, h2, h3, h4",
  img: "img, svg, [role=img]",
  link: "a[href]",
  list: "ul, ol, [role=list]",
  listitem: "li, [role=listitem]",
  log: "[role=log]",
  main: "main",
  navigation: "nav",
  progressbar: "progress, [role=progressbar]",
  region: "section, [role=region]",
  searchbox: "input[type=search], [role=searchbox]",
  spinbutton: "input[type=number], [role=spinbutton]",
  status: "[role=status], output",
  switch: "[role=switch]",
  tab: "[role=tab]",
  table: "table, [role=table]",
  textbox: "input:not([type]), input[type=text], textarea, [role=textbox]",
};
const text = (element) => element?.textContent ?? "";
const byIds = (ids) =>
  (ids ?? "")
    .split(/\s+/)
    .filter(Boolean)
    .map((id) => text(document.getElementById(id)));
const flat = (words) => words.replace(/\s+/g, " ").trim();
const hints = (element) =>
  [
    element.getAttribute("aria-label"),
    ...byIds(element.getAttribute("aria-labelledby")),
    ...[...(element.labels ?? [])].map(text),
    element.getAttribute("alt"),
    element.getAttribute("title"),
    text(element),
  ].map((words) => flat(words ?? ""));
const found = [];
for (const element of (root ?? document).querySelectorAll(SELECTORS[role])) {
  const words = hints(element);
  if (name === null || words.some((word) => word.includes(name))) found.push({ element, exact: words.includes(name) });
}
found.sort((left, right) => right.exact - left.exact);
return found.slice(0, 40).map(({ element }) => element);
