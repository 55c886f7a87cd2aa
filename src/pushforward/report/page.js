"use strict";
// Sorting and filtering of tables; without this script the page lacks nothing else.
(function () {
  var number = function (text) {
    var found = text.replace(/\u2212/g, "-").replace(/,/g, "").match(/-?\d+(\.\d+)?(e[-+]?\d+)?/i);
    return found ? parseFloat(found[0]) : NaN;
  };
  var value = function (row, column) {
    var cell = row.cells[column];
    var given = cell && cell.getAttribute("data-v");
    var text = given !== null && cell ? given : cell ? cell.textContent.trim() : "";
    return text;
  };
  var sort = function (table, column, rising) {
    var body = table.tBodies[0];
    var rows = Array.prototype.slice.call(body.rows);
    var numeric = table.tHead.rows[0].cells[column].classList.contains("n");
    rows.sort(function (a, b) {
      var x = value(a, column), y = value(b, column);
      if (!numeric) return rising ? x.localeCompare(y) : y.localeCompare(x);
      var p = number(x), q = number(y);
      if (isNaN(p) || isNaN(q)) return isNaN(p) - isNaN(q); // what has no number comes last
      return rising ? p - q : q - p;
    });
    rows.forEach(function (row) { body.appendChild(row); });
  };
  document.querySelectorAll("table.sortable").forEach(function (table) {
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, column) {
      if (head.hasAttribute("data-fixed") || !head.textContent.trim()) return;
      var button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      while (head.firstChild) button.appendChild(head.firstChild);
      head.appendChild(button);
      button.addEventListener("click", function () {
        var rising = head.getAttribute("aria-sort") !== "ascending";
        Array.prototype.forEach.call(table.tHead.rows[0].cells, function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        sort(table, column, rising);
      });
    });
  });
  document.querySelectorAll("table.filterable").forEach(function (table) {
    var rows = table.tBodies[0].rows;
    if (rows.length < 8) return;
    var label = document.createElement("label");
    var input = document.createElement("input");
    var count = document.createElement("span");
    label.className = "filter";
    label.textContent = "Filter ";
    input.type = "search";
    input.placeholder = "name, kind, ...";
    count.className = "muted";
    count.setAttribute("aria-live", "polite");
    input.addEventListener("input", function () {
      var words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      var shown = 0;
      Array.prototype.forEach.call(rows, function (row) {
        var text = "";
        Array.prototype.forEach.call(row.cells, function (cell, k) {
          if (k === 0 || cell.classList.contains("kind")) text += " " + cell.textContent.toLowerCase();
        });
        row.hidden = !words.every(function (word) { return text.indexOf(word) >= 0; });
        if (!row.hidden) shown += 1;
      });
      count.textContent = words.length ? " " + shown + " of " + rows.length : "";
    });
    label.appendChild(input);
    label.appendChild(count);
    var home = table.closest(".scroll") || table;
    home.parentNode.insertBefore(label, home);
  });
})();
