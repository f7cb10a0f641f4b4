// Logs in with the password of the server.

const form = document.getElementById("login");
const problem = document.getElementById("problem");

if (location.search === "?used") {
  problem.textContent = "This link has been used, or is none of this server.";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = {
    reader: document.getElementById("name").value,
    password: document.getElementById("password").value,
  };
  const answer = await fetch("/api/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.ok) {
    location.assign("/");
  } else {
    problem.textContent = (await answer.json()).detail;
  }
});
