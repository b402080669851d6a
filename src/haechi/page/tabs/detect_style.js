// A tab's own style sheet, loaded when the tab is first shown; until it is there, nothing is shown half dressed.

export function useStyles(name, root) {
  const { href } = new URL(`../styles/${name}.css`, import.meta.url);
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  root.style.visibility = "hidden";
  const show = () => root.style.removeProperty("visibility");
  link.addEventListener("load", show);
  link.addEventListener("error", show);
  document.head.append(link);
}
