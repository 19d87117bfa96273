import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/column.css";
import "./style/parts.css";
import { decodeSetting } from "./logic/setting.js";
import { resume } from "./state/making.js";
import { change, fail, keepPermalink, load } from "./state/store.js";
import { App } from "./view/app.js";

render(<App />, document.getElementById("page")!);
keepPermalink();
window.addEventListener("hashchange", () => {
  const linked = decodeSetting(location.hash);
  if (linked) change(linked);
});
void load().then(resume).catch(fail);
