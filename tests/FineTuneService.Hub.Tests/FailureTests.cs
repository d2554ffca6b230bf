using System.Diagnostics;
using Microsoft.AspNetCore.Http;

namespace FineTuneService.Hub.Tests;

/// <summary>A hub and a network that misbehave.</summary>
public sealed class FailureTests : HubTest
{
    [Fact]
    public async Task The_token_goes_to_the_hub_and_to_no_other_host()
    {
        await Fetch(Hub(token: "hf_secret"));

        Assert.All(Server.Requests, request => Assert.Equal(request.Cdn ? null : "Bearer hf_secret", request.Authorization));
        Assert.Contains(Server.Requests, request => request.Cdn);
    }

    [Fact]
    public async Task A_renamed_repository_is_followed_with_the_token()
    {
        Server.Disturb = (context, request, _) =>
        {
            if (!request.Path.Contains("/old-name/", StringComparison.Ordinal))
                return Task.FromResult(false);
            context.Response.StatusCode = 307;
            context.Response.Headers.Location = request.Path.Replace("acme/old-name", Id, StringComparison.Ordinal) + context.Request.QueryString;
            return Task.FromResult(true);
        };

        // The files of the old name are the server's answer to the new one.
        Server.Push("acme/old-name", TinyBert);
        var snapshot = await Hub(token: "hf_secret").Fetch(Model(id: "acme/old-name"), new(), Cancel);

        Assert.Equal(Commit, snapshot.Commit);
        Assert.All(Server.Requests.Where(request => !request.Cdn), request => Assert.Equal("Bearer hf_secret", request.Authorization));
    }

    [Theory]
    [InlineData("http://localhost:9/x")] // Not the endpoint's host, not on the list.
    [InlineData("http://169.254.169.254/latest")]
    [InlineData("http://evilhf.co/x")]
    [InlineData("file:///etc/passwd")]
    public async Task A_redirect_to_a_host_that_is_not_allowed_is_refused(string address)
    {
        Server.RedirectTo = _ => new Uri(address);

        var fault = await FaultOf(() => Fetch());

        Assert.Contains("not allowed", fault.Message, StringComparison.Ordinal);
        Assert.Contains("Hub:AllowedHosts", fault.Remedy, StringComparison.Ordinal);
        Assert.DoesNotContain("passwd", fault.Value!, StringComparison.Ordinal);
    }

    [Fact]
    public void A_secure_hub_may_not_send_to_an_insecure_host()
    {
        var settings = new HubSettings { CacheDirectory = Cache };
        Assert.True(settings.Allows(new("https://cdn-lfs.huggingface.co/x")));
        Assert.True(settings.Allows(new("https://cas-bridge.xethub.hf.co/x")));
        Assert.False(settings.Allows(new("http://cdn-lfs.huggingface.co/x")));
        Assert.False(settings.Allows(new("https://huggingface.co.example.org/x")));
    }

    [Theory]
    [InlineData(429)]
    [InlineData(503)]
    public async Task The_hub_is_left_alone_for_as_long_as_it_asks(int status)
    {
        var first = true;
        Server.Disturb = (context, request, _) =>
        {
            if (!first)
                return Task.FromResult(false);
            first = false;
            context.Response.Headers.RetryAfter = "1";
            return Refuse(context, status);
        };
        var asked = Stopwatch.GetTimestamp();

        await Fetch();

        Assert.True(Stopwatch.GetElapsedTime(asked) >= TimeSpan.FromSeconds(0.95));
    }

    [Fact]
    public async Task Nobody_waits_for_an_hour()
    {
        Server.Disturb = (context, _, _) =>
        {
            context.Response.Headers.RetryAfter = "3600";
            return Refuse(context, 429);
        };

        var error = await Assert.ThrowsAsync<HubUnreachableException>(() => Fetch());

        Assert.Contains("3600 seconds", error.Message, StringComparison.Ordinal);
        Assert.Single(Server.Requests);
    }

    [Fact]
    public async Task Patience_runs_out()
    {
        Server.Disturb = (context, _, _) => Refuse(context, 500);

        var error = await Assert.ThrowsAsync<HubUnreachableException>(() => Fetch(Hub(retries: 2)));

        Assert.Contains("500", error.Message, StringComparison.Ordinal);
        Assert.Equal(3, Server.Requests.Count);
    }

    [Theory]
    [InlineData(401, null, null, "/base_model", "Hub:Token")]
    [InlineData(401, null, "hf_bad", "/base_model", "token is valid")]
    [InlineData(401, "GatedRepo", null, "/base_model", "Accept them")]
    [InlineData(403, null, "hf_ok", "/base_model", "Accept them")]
    [InlineData(404, "RepoNotFound", null, "/base_model", "spelling")]
    [InlineData(404, "RevisionNotFound", null, "/revision", "branches")]
    [InlineData(418, null, null, "/base_model", "Hub:Endpoint")]
    public async Task A_refusal_says_whose_turn_it_is(int status, string? code, string? token, string pointer, string remedy)
    {
        Server.Disturb = (context, _, _) =>
        {
            if (code is not null)
                context.Response.Headers["X-Error-Code"] = code;
            return Refuse(context, status);
        };

        var fault = await FaultOf(() => Fetch(Hub(token: token)));

        Assert.Equal(pointer, fault.Pointer);
        Assert.Contains(remedy, fault.Remedy, StringComparison.Ordinal);
        Assert.DoesNotContain("hf_", fault.ToString(), StringComparison.Ordinal);
        Assert.Single(Server.Requests);
    }

    [Theory]
    [InlineData("acme/none", null, "/base_model")]
    [InlineData(Id, "no-such-branch", "/revision")]
    public async Task What_the_hub_does_not_have_is_a_fault(string id, string? revision, string pointer) =>
        Assert.Equal(pointer, (await FaultOf(() => Hub().Fetch(Model(revision, id), new(), Cancel))).Pointer);

    [Fact]
    public async Task Bytes_with_another_hash_are_refused_and_leave_nothing()
    {
        Server.Disturb = async (context, request, content) =>
        {
            if (!request.Cdn)
                return false;
            await context.Response.Body.WriteAsync(content.Select(value => (byte)(value + 1)).ToArray());
            return true;
        };

        var fault = await FaultOf(() => Fetch());

        Assert.Equal("model.safetensors", fault.Value);
        Assert.Contains("hash", fault.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Blob("model.safetensors")) || File.Exists(Blob("model.safetensors") + ".incomplete"));
    }

    [Fact]
    public async Task A_small_file_is_checked_by_the_hash_that_git_gives_it()
    {
        Server.Disturb = async (context, request, content) =>
        {
            if (!request.Path.EndsWith("/vocab.txt", StringComparison.Ordinal))
                return false;
            await context.Response.Body.WriteAsync(new byte[content.Length]);
            return true;
        };

        Assert.Equal("vocab.txt", (await FaultOf(() => Fetch())).Value);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(-10)]
    public async Task A_length_that_is_a_lie_is_refused_and_leaves_nothing(int more)
    {
        Server.Disturb = async (context, request, content) =>
        {
            if (!request.Cdn)
                return false;
            context.Response.ContentLength = content.Length + more;
            await context.Response.Body.WriteAsync(new byte[content.Length + more]);
            return true;
        };

        var fault = await FaultOf(() => Fetch());

        Assert.Equal("model.safetensors", fault.Value);
        Assert.Contains($"{Weights.Length + more} bytes", fault.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Blob("model.safetensors") + ".incomplete"));
    }

    [Fact]
    public async Task A_body_without_end_is_cut_off_at_the_listed_size()
    {
        Server.Disturb = async (context, request, content) =>
        {
            if (!request.Cdn)
                return false;
            while (!context.RequestAborted.IsCancellationRequested)
                await context.Response.Body.WriteAsync(content, context.RequestAborted);
            return true;
        };

        Assert.Contains("more than", (await FaultOf(() => Fetch())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_above_the_limit_is_refused_before_its_weights_are_fetched()
    {
        var fault = await FaultOf(() => Fetch(Hub(maxBytes: Weights.Length)));

        Assert.Contains("Hub:MaxBytes", fault.Remedy, StringComparison.Ordinal);
        Assert.DoesNotContain(Server.Requests, request => request.Cdn);
    }

    [Fact]
    public async Task Pickles_are_never_fetched()
    {
        Server.Push(Id, TinyBert.Where(file => file.Key != "model.safetensors").Append(new("pytorch_model.bin", Weights)));

        var fault = await FaultOf(() => Fetch());

        Assert.Equal(("/base_model", "pytorch_model.bin"), (fault.Pointer, fault.Value));
        Assert.Contains("safetensors", fault.Remedy, StringComparison.Ordinal);
        Assert.Single(Server.Requests);
    }

    [Theory]
    [InlineData("../config.json")]
    [InlineData("/etc/passwd")]
    [InlineData("a/../../config.json")]
    [InlineData("a\\\\..\\\\config.json")]
    [InlineData("additional_chat_templates/../../x.jinja")]
    public async Task A_name_that_leads_out_of_the_repository_is_refused(string name)
    {
        Server.Listing = json => json.Replace("{\"rfilename\": \"vocab.txt\"", $"{{\"rfilename\": \"{name}\"", StringComparison.Ordinal);

        var fault = await FaultOf(() => Fetch());

        Assert.Contains("outside", fault.Message, StringComparison.Ordinal);
        Assert.Single(Server.Requests);
    }

    [Theory]
    [InlineData("<html>")]
    [InlineData("{}")]
    [InlineData("""{"sha": "main", "siblings": []}""")]
    public async Task An_endpoint_that_is_no_hub_is_a_fault(string answer)
    {
        Server.Listing = _ => answer;

        Assert.Contains("Hub:Endpoint", (await FaultOf(() => Fetch())).Remedy, StringComparison.Ordinal);
    }
}
