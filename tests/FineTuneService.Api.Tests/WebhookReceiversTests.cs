using System.Net;
using FineTuneService.Api.Webhooks;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Tests;

/// <summary>Where webhooks may lead, by the operator's settings.</summary>
public sealed class WebhookReceiversTests
{
    private static readonly WebhookSettings Usual = new();
    private static readonly WebhookSettings Http = new() { AllowHttp = true };
    private static readonly WebhookSettings House = new() { AllowPrivateAddresses = true };

    [Theory]
    [InlineData("https://example.com/hooks?token=1")]
    [InlineData("https://example.com:8443")]
    [InlineData("https://8.8.8.8/hooks")]
    [InlineData("https://[2606:4700::1111]/hooks")]
    public void Receivers_on_the_internet_are_allowed(string url) => Assert.Null(new ReceiverPolicy(Options.Create(Usual)).Refusal(url));

    [Theory]
    [InlineData("")]
    [InlineData("/hooks")]
    [InlineData("https://")]
    [InlineData("http://example.com")]
    [InlineData("ftp://example.com")]
    [InlineData("file:///etc/passwd")]
    [InlineData("gopher://example.com")]
    [InlineData("https://user:word@example.com")]
    [InlineData("https://example.com@127.0.0.1/")]
    [InlineData("https://127.0.0.1/")]
    [InlineData("https://127.1/")]
    [InlineData("https://0x7f.0.0.1/")]
    [InlineData("https://0177.0.0.1/")]
    [InlineData("https://2130706433/")]
    [InlineData("https://10.1.2.3/")]
    [InlineData("https://169.254.169.254/latest/meta-data/")]
    [InlineData("https://[::1]/")]
    [InlineData("https://[::ffff:10.0.0.1]/")]
    [InlineData("https://[64:ff9b::a9fe:a9fe]/")]
    [InlineData("https://[fd00:ec2::254]/")]
    public void Others_are_refused_with_a_remedy(string url)
    {
        var faults = new FaultList();
        new ReceiverPolicy(Options.Create(Usual)).Check(url, "/url", faults);
        var fault = Assert.Single(faults.All);
        Assert.Equal(("/url", url), (fault.Pointer, fault.Value));
        Assert.NotEmpty(fault.Remedy);
    }

    [Theory]
    [InlineData("http://10.1.2.3/", true)]
    [InlineData("http://127.0.0.1:5000/", true)]
    [InlineData("http://example.com/", true)]
    [InlineData("https://[fd12::1]/", true)]
    [InlineData("http://169.254.169.254/", false)]
    [InlineData("http://[fe80::1]/", false)]
    [InlineData("http://[fd00:ec2::254]/", false)]
    [InlineData("http://100.100.100.200/", false)]
    [InlineData("http://0.0.0.0/", false)]
    [InlineData("http://224.0.0.1/", false)]
    [InlineData("ftp://10.1.2.3/", false)]
    public void A_house_may_allow_its_own_addresses_but_not_its_clouds(string url, bool allowed) => Assert.Equal(allowed, new ReceiverPolicy(Options.Create(House)).Refusal(url) is null);

    [Theory]
    [InlineData("1.1.1.1")]
    [InlineData("9.255.255.255")]
    [InlineData("11.0.0.0")]
    [InlineData("100.63.255.255")]
    [InlineData("100.128.0.0")]
    [InlineData("172.15.255.255")]
    [InlineData("172.32.0.0")]
    [InlineData("223.255.255.255")]
    [InlineData("2606:4700::1111")]
    [InlineData("2001:4860:4860::8888")]
    [InlineData("::ffff:8.8.8.8")]
    [InlineData("64:ff9b::808:808")]
    public void Addresses_of_the_internet(string address) => Assert.True(PublicAddress.IsPublic(IPAddress.Parse(address)));

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("0.1.2.3")]
    [InlineData("10.0.0.0")]
    [InlineData("100.64.0.1")]
    [InlineData("100.127.255.255")]
    [InlineData("127.0.0.1")]
    [InlineData("127.255.255.254")]
    [InlineData("169.254.0.1")]
    [InlineData("169.254.169.254")]
    [InlineData("172.16.0.1")]
    [InlineData("172.31.255.255")]
    [InlineData("192.0.0.1")]
    [InlineData("192.0.2.1")]
    [InlineData("192.168.1.1")]
    [InlineData("198.18.0.1")]
    [InlineData("198.19.255.255")]
    [InlineData("203.0.113.9")]
    [InlineData("224.0.0.1")]
    [InlineData("239.255.255.255")]
    [InlineData("240.0.0.1")]
    [InlineData("255.255.255.255")]
    [InlineData("::")]
    [InlineData("::1")]
    [InlineData("::7f00:1")]
    [InlineData("fc00::1")]
    [InlineData("fdff::1")]
    [InlineData("fe80::1")]
    [InlineData("fec0::1")]
    [InlineData("ff02::1")]
    [InlineData("100::1")]
    [InlineData("2001::1")]
    [InlineData("2001:db8::1")]
    [InlineData("2002:7f00:1::")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("::ffff:169.254.169.254")]
    [InlineData("::ffff:0:0")]
    [InlineData("64:ff9b::7f00:1")]
    [InlineData("64:ff9b::a00:1")]
    [InlineData("64:ff9b:1::808:808")]
    public void All_others(string address) => Assert.False(PublicAddress.IsPublic(IPAddress.Parse(address)));

    /// <summary>What no reading of the URL can see.</summary>
    [Fact]
    public async Task A_name_that_leads_into_the_house_is_not_called()
    {
        await using var receiver = await Receiver.Start();
        var url = $"http://localhost:{receiver.Url.Port}/";
        Assert.Null(new ReceiverPolicy(Options.Create(Http)).Refusal(url));
        Assert.Equal(new WebhookAnswer(null, ReceiverPolicy.NotAllowed), await Send(Http, url));
        Assert.True(receiver.IsIdle);
        Assert.Equal(new WebhookAnswer(204, null), await Send(House, url));
    }

    [Fact]
    public async Task What_the_settings_forbid_by_now_is_not_called()
    {
        await using var receiver = await Receiver.Start();
        Assert.NotNull((await Send(Usual, receiver.Url.ToString())).Error);
        Assert.True(receiver.IsIdle);
    }

    [Fact]
    public async Task Silence_and_refusal_are_told_in_words()
    {
        var receiver = await Receiver.Start();
        receiver.Answer = async (_, cancel) =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, cancel);
            return 200;
        };
        var impatient = new WebhookSettings { AllowPrivateAddresses = true, Timeout = TimeSpan.FromSeconds(0.2) };
        Assert.Equal(new WebhookAnswer(null, "No answer within 0.2 seconds."), await Send(impatient, receiver.Url.ToString()));
        await receiver.DisposeAsync();
        Assert.Equal(new WebhookAnswer(null, "Connection refused"), await Send(House, receiver.Url.ToString()));
    }

    private static async Task<WebhookAnswer> Send(WebhookSettings settings, string url)
    {
        var options = Options.Create(settings);
        using var sender = new WebhookSender(new ReceiverPolicy(options), options, TimeProvider.System);
        var webhook = new Webhook { Id = "wh_0", ProjectId = Project.Default, Url = url, Secret = WebhookSecret.New(), Events = [], CreatedAt = default };
        return await sender.Send(webhook, WebhookMessage.To(webhook.Id, WebhookMessage.Test, "{}", default), Api.Cancel);
    }
}
