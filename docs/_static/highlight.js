// The search marks its words on a page by putting elements around them, and asks for the place of each word in a drawing. Titles and
// descriptions of drawings, as those of the theme's icons, have no place: without this the script ends there.
document.querySelectorAll("svg title, svg desc").forEach((one) => one.classList.add("nohighlight"));
